#include "show_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "moexray/report/document.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"

namespace moexray::app {
namespace {

using report::display_width;
using report::fixed;

// A background and a foreground of the 256 colours that terminals share. Both are set, so that a
// cell reads the same on dark and light terminals.
struct CellColour {
  int background;
  int foreground;
};
// Okabe and Ito's colours for experts; a ramp from dark blue to yellow for distances.
constexpr std::array<CellColour, 8> expert_colours{
    {{25, 231}, {166, 16}, {36, 16}, {175, 16}, {74, 16}, {214, 16}, {238, 231}, {227, 16}}};
constexpr std::array<CellColour, 5> distance_colours{
    {{17, 231}, {25, 231}, {66, 231}, {143, 16}, {226, 16}}};

struct Cell {
  std::string text;
  const CellColour* colour = nullptr;
  bool is_number = false;
};

std::string row_text(const std::vector<Cell>& row, const std::vector<std::size_t>& widths,
                     bool coloured) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const Cell& cell = row[i];
    const std::size_t used = display_width(cell.text);
    const std::string padding(widths[i] - std::min(widths[i], used), ' ');
    if (i > 0) line += ' ';
    if (cell.is_number) line += padding;
    if (coloured && cell.colour != nullptr) {
      line += fmt::format("\x1b[48;5;{};38;5;{}m{}\x1b[0m", cell.colour->background,
                          cell.colour->foreground, cell.text);
    } else {
      line += cell.text;
    }
    if (!cell.is_number) line += padding;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

std::string table_text(const std::vector<std::vector<Cell>>& rows, bool coloured) {
  std::vector<std::size_t> widths(rows.empty() ? 0 : rows[0].size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i].text));
    }
  }
  std::string text;
  for (const auto& row : rows) text += row_text(row, widths, coloured);
  return text;
}

const CellColour* colour_of(double distance, double typical, double uniform) {
  if (!std::isfinite(distance)) return nullptr;
  return &distance_colours[static_cast<std::size_t>(distance_step(distance, typical, uniform))];
}

std::string token_text(const ShownToken& token) {
  if (!token.text.empty()) return printable(token.text, 24);
  return token.id >= 0 ? fmt::format("#{}", token.id) : "?";
}

// @param colour of the token by its distance
std::vector<Cell> first_cells(const ShownToken& token, double distance, const CellColour* colour,
                              const ShowOptions& options, bool has_distances) {
  if (options.colour_by == ColourBy::expert && options.layer) {
    const auto& experts = token.layers[static_cast<std::size_t>(*options.layer)].experts;
    if (!experts.empty()) {
      colour = &expert_colours[static_cast<std::size_t>(expert_colour(experts.front()))];
    }
  }
  std::vector<Cell> row{{std::to_string(token.pos), nullptr, true},
                        {token_text(token), colour},
                        {std::string(type_name(token))}};
  if (has_distances) row.push_back({fixed(distance, 2), nullptr, true});
  return row;
}

std::vector<Cell> headings(const ShownPrompt& shown) {
  std::vector<Cell> row{{"pos", nullptr, true}, {"token"}, {"type"}};
  if (shown.has_distances()) row.push_back({"distance", nullptr, true});
  return row;
}

std::string one_layer(const ShownPrompt& shown, const ShowOptions& options) {
  const auto layer = static_cast<std::size_t>(*options.layer);
  std::vector<std::vector<Cell>> rows{headings(shown)};
  rows[0].push_back({experts_heading(shown)});
  for (const ShownToken& token : shown.tokens) {
    const TokenRouting& routing = token.layers[layer];
    const CellColour* colour =
        shown.has_distances()
            ? colour_of(routing.distance, shown.typical[layer], shown.uniform[layer])
            : nullptr;
    rows.push_back(first_cells(token, routing.distance, colour, options, shown.has_distances()));
    rows.back().push_back({experts_text(routing)});
  }
  return table_text(rows, options.coloured);
}

// Without an order no expert stands for the others.
std::string without_order(const ShownPrompt& shown, const ShowOptions& options) {
  std::vector<std::vector<Cell>> rows{headings(shown)};
  const double typical = defined_mean(shown.typical);
  const double uniform = defined_mean(shown.uniform);
  for (const ShownToken& token : shown.tokens) {
    rows.push_back(first_cells(token, token.distance, colour_of(token.distance, typical, uniform),
                               options, shown.has_distances()));
  }
  return "The order of a token's experts is unknown, so no top expert is shown (--layer N shows "
         "all "
         "experts of one layer):\n" +
         table_text(rows, options.coloured);
}

std::string all_layers(const ShownPrompt& shown, const ShowOptions& options) {
  if (!shown.has_order) return without_order(shown, options);
  std::vector<std::vector<Cell>> rows{headings(shown)};
  for (int layer = 0; layer < shown.shape.n_layers; ++layer) {
    rows[0].push_back({std::to_string(layer), nullptr, true});
  }
  const double typical = defined_mean(shown.typical);
  const double uniform = defined_mean(shown.uniform);
  for (const ShownToken& token : shown.tokens) {
    rows.push_back(first_cells(token, token.distance, colour_of(token.distance, typical, uniform),
                               options, shown.has_distances()));
    for (std::size_t layer = 0; layer < token.layers.size(); ++layer) {
      const TokenRouting& routing = token.layers[layer];
      if (routing.experts.empty()) {
        rows.back().push_back({"-", nullptr, true});
        continue;
      }
      const ExpertId top = routing.experts.front();
      const CellColour* colour =
          options.colour_by == ColourBy::expert
              ? &expert_colours[static_cast<std::size_t>(expert_colour(top))]
          : shown.has_distances()
              ? colour_of(routing.distance, shown.typical[layer], shown.uniform[layer])
              : nullptr;
      rows.back().push_back({std::to_string(top), colour, true});
    }
  }
  return "Top expert of each layer, from 0 (--layer N shows all experts of one):\n" +
         table_text(rows, options.coloured);
}

std::string colour_legend(const ShowOptions& options, bool has_distances) {
  if (!options.coloured) return {};
  if (options.colour_by == ColourBy::expert) return "Colours: the expert's number modulo 8.\n";
  if (!has_distances) return {};
  std::string text = "Colours: ";
  for (const CellColour& colour : distance_colours) {
    text += fmt::format("\x1b[48;5;{}m  \x1b[0m", colour.background);
  }
  return text + " from nearer than the category's own tokens to no nearer than random routing.\n";
}

}  // namespace

std::string experts_heading(const ShownPrompt& shown) {
  return shown.has_order ? "experts (weights), most probable first" : "experts, in no known order";
}

int expert_colour(ExpertId expert) { return static_cast<int>(expert % 8); }

int distance_step(double distance, double typical, double uniform) {
  if (!(uniform > typical)) return distance > typical ? 4 : 1;
  const double share = (distance - typical) / (uniform - typical);
  return static_cast<int>(std::clamp(std::floor(2 * share) + 2, 0.0, 4.0));
}

std::string experts_text(const TokenRouting& routing) {
  if (routing.experts.empty()) return "-";
  std::string text;
  for (std::size_t i = 0; i < routing.experts.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(routing.experts[i]);
    if (i < routing.weights.size()) text += " (" + fixed(routing.weights[i], 3) + ")";
  }
  return text;
}

std::string prompt_summary(const ShownPrompt& shown) {
  const TracePrompt& prompt = *shown.prompt;
  std::array<std::size_t, 3> n{};
  for (const ShownToken& token : shown.tokens) {
    ++n[token.is_template ? 0 : token.type == TokenType::prompt ? 1 : 2];
  }
  std::string text = printable(prompt.id, 256);
  if (!prompt.category.empty()) text += " (" + printable(prompt.category, 256) + ")";
  text += ": " + counted(std::ssize(shown.tokens), "token");
  constexpr std::array names{"of the template", "of the prompt", "generated"};
  for (std::size_t i = 0; i < n.size(); ++i) {
    if (n[i] > 0) text += fmt::format(", {} {}", n[i], names[i]);
  }
  return text;
}

std::string distance_legend(const ShownPrompt& shown, std::optional<int> layer) {
  if (!shown.has_distances()) return {};
  const auto at = static_cast<std::size_t>(layer.value_or(0));
  const double typical = layer ? shown.typical[at] : defined_mean(shown.typical);
  const double uniform = layer ? shown.uniform[at] : defined_mean(shown.uniform);
  return fmt::format(
      "Distance of a token's experts from {}{}: 0 for the experts used most; {} on average for "
      "their own tokens, {} for tokens routed at random.",
      shown.reference, layer ? "" : ", mean over layers", fixed(typical, 2), fixed(uniform, 2));
}

std::string show_text(const ShownPrompt& shown, const ShowOptions& options) {
  std::string text = prompt_summary(shown) + "\n";
  if (!shown.origin.empty()) text += shown.origin + "\n";
  if (!shown.prompt->text.empty())
    text += "Prompt: " + report::one_line(shown.prompt->text, 300) + "\n";
  if (!shown.prompt->completion.empty()) {
    text += "Completion: " + report::one_line(shown.prompt->completion, 300) + "\n";
  }
  const std::string legend = distance_legend(shown, options.layer);
  if (!legend.empty()) text += legend + "\n";
  text += colour_legend(options, shown.has_distances());
  return text + "\n" + (options.layer ? one_layer(shown, options) : all_layers(shown, options));
}

}  // namespace moexray::app
