#include "show_html.h"

#include <fmt/core.h>

#include <cmath>
#include <vector>

#include "moexray/report/document.h"
#include "moexray/report/html_page.h"
#include "moexray/report/html_table.h"
#include "moexray/report/number.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::html_escaped;
using report::html_paragraph;
using report::HtmlTable;
using report::one_line;

// The same colours in light and dark: each brings its own ink.
constexpr std::string_view token_styles = R"(.t, td.d0, td.d1, td.d2, td.d3, td.d4, td.e0, td.e1,
td.e2, td.e3, td.e4, td.e5, td.e6, td.e7, .key { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
.tokens { line-height: 2; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
.t { padding: .1rem .15rem; border-radius: .2rem; }
.t.template { border-bottom: 2px dotted var(--ink); }
.t.generation { border-bottom: 2px solid var(--ink); }
.t sub { font-size: .65em; line-height: 1; margin-left: .1em; }
.key { display: inline-block; padding: 0 .5rem; }
.keys { white-space: nowrap; }
.d0 { background: #440154; color: #ffffff; }
.d1 { background: #3b528b; color: #ffffff; }
.d2 { background: #1f8279; color: #ffffff; }
.d3 { background: #5ec962; color: #000000; }
.d4 { background: #fde725; color: #000000; }
.e0 { background: #0072b2; color: #ffffff; }
.e1 { background: #e07020; color: #000000; }
.e2 { background: #1fae86; color: #000000; }
.e3 { background: #cc79a7; color: #000000; }
.e4 { background: #56b4e9; color: #000000; }
.e5 { background: #e69f00; color: #000000; }
.e6 { background: #444444; color: #ffffff; }
.e7 { background: #f0e442; color: #000000; }
.view { display: none; }
.views input { position: absolute; opacity: 0; pointer-events: none; }
.views label {
  display: inline-block; margin: .1rem .2rem .1rem 0; padding: 0 .5rem; cursor: pointer;
  border: 1px solid var(--rule); border-radius: .3rem;
}
.views input:checked + label { background: var(--ink); color: var(--paper); }
.views input:focus-visible + label { outline: 2px solid var(--link); }
td.token { font-family: ui-monospace, monospace; min-width: 6rem; overflow-wrap: anywhere; }
)";

std::string label_of(const ShownToken& token) {
  if (!token.text.empty()) return html_escaped(one_line(token.text, 80));
  return token.id >= 0 ? fmt::format("#{}", token.id) : "?";
}

// "pos 12, prompt, id 5821", as part of a hover text.
std::string place_of(const ShownToken& token) {
  std::string text = fmt::format("pos {}, {}", token.pos, type_name(token));
  if (token.id >= 0) text += fmt::format(", id {}", token.id);
  return text;
}

std::string distance_class(double distance, double typical, double uniform) {
  return std::isfinite(distance) ? fmt::format("d{}", distance_step(distance, typical, uniform))
                                 : "";
}

class ShowPage {
 public:
  ShowPage(const ShownPrompt& shown, const ShowOptions& options)
      : shown_(shown),
        options_(options),
        by_distance_(options.colour_by == ColourBy::distance && shown.has_distances()),
        by_expert_(options.colour_by == ColourBy::expert) {
    for (int layer = 0; layer < shown.shape.n_layers; ++layer) {
      if (!options.layer || *options.layer == layer) layers_.push_back(layer);
    }
  }

  std::string html(const std::string& navigation) {
    report::HtmlPage page("Routing of " + one_line(shown_.prompt->id, 120));
    page.style(token_styles);
    page.style(view_rules());
    page.navigation(navigation);
    page.lead(lead());
    page.section("tokens", "The text", tokens_html());
    if (shown_.has_order) page.section("overview", "Top experts", overview_html());
    page.section("layers", "All experts", layers_html());
    return page.html();
  }

 private:
  // The view of the mean over layers, where there is one, has the name "all".
  std::vector<std::string> view_names() const {
    std::vector<std::string> names;
    if (by_distance_ && !options_.layer) names.emplace_back("all");
    for (const int layer : layers_) names.push_back(std::to_string(layer));
    return names;
  }

  std::string view_rules() const {
    std::string rules;
    for (const std::string& name : view_names()) {
      rules += (rules.empty() ? "" : ",\n") + fmt::format("#v-{0}:checked ~ .view-{0}", name);
    }
    return rules + " { display: block; }\n";
  }

  std::string lead() const {
    std::string html = html_paragraph((shown_.model_name.empty() ? "" : shown_.model_name + ", ") +
                                      prompt_summary(shown_));
    if (!shown_.origin.empty()) html += html_paragraph(shown_.origin);
    const std::string legend = distance_legend(shown_, options_.layer);
    if (!legend.empty()) html += html_paragraph(legend);
    if (by_distance_) {
      html +=
          "<p>Colours, from nearer than the category’s own tokens on average to no nearer than "
          "random routing: <span class=\"keys\">";
      for (int step = 0; step < 5; ++step) {
        html += fmt::format("<span class=\"key d{}\">{}</span>", step, step + 1);
      }
      html += "</span></p>\n";
    } else if (by_expert_) {
      html +=
          "<p>Colours: the number of the token’s top expert modulo 8; the number itself is "
          "beside it.</p>\n";
    }
    return html +
           "<p class=\"soft\">Dotted underline: tokens of the chat template; solid: generated "
           "ones. ␣ is a blank, ⏎ a line end, ⇥ a tab.</p>\n";
  }

  std::string layer_hover(const ShownToken& token, int layer) const {
    const TokenRouting& routing = token.layers[static_cast<std::size_t>(layer)];
    std::string text = fmt::format("layer {}: {}", layer, experts_text(routing));
    if (std::isfinite(routing.distance)) text += ", distance " + fixed(routing.distance, 2);
    return text;
  }

  std::string cell_class(const TokenRouting& routing, int layer) const {
    const auto at = static_cast<std::size_t>(layer);
    if (by_distance_) {
      return distance_class(routing.distance, shown_.typical[at], shown_.uniform[at]);
    }
    if (!by_expert_ || routing.experts.empty()) return {};
    return fmt::format("e{}", expert_colour(routing.experts.front()));
  }

  std::string token_span(const ShownToken& token, const std::string& colour,
                         const std::string& hover, const std::string& mark) const {
    std::string html = fmt::format("<span class=\"t {} {}\" title=\"{}\">{}{}</span>",
                                   type_name(token), colour, hover, label_of(token), mark);
    // A line end in the text ends the line here too.
    html += token.text.ends_with("⏎") ? "<br>\n" : "<wbr>";
    return html;
  }

  std::string mean_view() const {
    std::string html = "<p class=\"tokens view view-all\">";
    const double typical = defined_mean(shown_.typical);
    const double uniform = defined_mean(shown_.uniform);
    for (const ShownToken& token : shown_.tokens) {
      html += token_span(token, distance_class(token.distance, typical, uniform),
                         fmt::format("{}&#10;distance {}, mean over layers", place_of(token),
                                     fixed(token.distance, 2)),
                         {});
    }
    return html + "</p>\n";
  }

  std::string layer_view(int layer) const {
    std::string html = fmt::format("<p class=\"tokens view view-{}\">", layer);
    for (const ShownToken& token : shown_.tokens) {
      const TokenRouting& routing = token.layers[static_cast<std::size_t>(layer)];
      const bool is_marked = by_expert_ && !routing.experts.empty();
      html += token_span(token, cell_class(routing, layer),
                         place_of(token) + "&#10;" + layer_hover(token, layer),
                         is_marked ? fmt::format("<sub>{}</sub>", routing.experts.front()) : "");
    }
    return html + "</p>\n";
  }

  // Without a script: the radio button that is on decides which view shows.
  std::string tokens_html() const {
    std::string html = "<div class=\"views\">\n";
    bool is_first = true;
    for (const std::string& name : view_names()) {
      html += fmt::format(
          "<input type=\"radio\" name=\"view\" id=\"v-{0}\"{1}><label for=\"v-{0}\">{2}</label>\n",
          name, is_first ? " checked" : "", name == "all" ? "mean over layers" : "layer " + name);
      is_first = false;
    }
    if (by_distance_ && !options_.layer) html += mean_view();
    for (const int layer : layers_) html += layer_view(layer);
    return html + "</div>\n";
  }

  // The columns that every table of tokens begins with.
  std::vector<HtmlTable::Column> first_columns() const {
    std::vector<HtmlTable::Column> columns{{"pos", true}, {"token", false, "token"}, {"type"}};
    if (shown_.has_distances()) columns.push_back({"distance", true});
    return columns;
  }

  std::vector<HtmlTable::Cell> first_cells(const ShownToken& token, double distance) const {
    std::vector<HtmlTable::Cell> cells{
        {std::to_string(token.pos)}, {label_of(token)}, {std::string(type_name(token))}};
    if (shown_.has_distances()) cells.push_back({fixed(distance, 2)});
    return cells;
  }

  std::string overview_html() const {
    std::vector<HtmlTable::Column> columns = first_columns();
    for (const int layer : layers_) columns.push_back({std::to_string(layer), true});
    HtmlTable table("The most probable expert of every token at each layer, from 0", columns);
    for (const ShownToken& token : shown_.tokens) {
      std::vector<HtmlTable::Cell> cells = first_cells(token, token.distance);
      for (const int layer : layers_) {
        const TokenRouting& routing = token.layers[static_cast<std::size_t>(layer)];
        cells.push_back({routing.experts.empty() ? "-" : std::to_string(routing.experts.front()),
                         cell_class(routing, layer), layer_hover(token, layer)});
      }
      table.add_cells(cells);
    }
    return table.html();
  }

  std::string layers_html() const {
    std::string html;
    for (const int layer : layers_) {
      std::vector<HtmlTable::Column> columns = first_columns();
      columns.push_back({experts_heading(shown_)});
      HtmlTable table(fmt::format("The experts of every token at layer {}", layer), columns);
      for (const ShownToken& token : shown_.tokens) {
        const TokenRouting& routing = token.layers[static_cast<std::size_t>(layer)];
        std::vector<HtmlTable::Cell> cells = first_cells(token, routing.distance);
        cells.push_back({experts_text(routing)});
        table.add_cells(cells);
      }
      html += options_.layer ? table.html()
                             : report::html_details(fmt::format("Layer {}", layer), table.html());
    }
    return html;
  }

  const ShownPrompt& shown_;
  const ShowOptions& options_;
  bool by_distance_;
  bool by_expert_;
  std::vector<int> layers_;
};

}  // namespace

std::string show_html(const ShownPrompt& shown, const ShowOptions& options,
                      const std::string& navigation) {
  return ShowPage(shown, options).html(navigation);
}

}  // namespace moexray::app
