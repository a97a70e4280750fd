#include "expert_categories_output.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "compared_text.h"
#include "interval_text.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/svg.h"
#include "moexray/report/table.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::ExpertCategoriesResult;
using stats::ExpertCell;

// More cells than this are not all listed in JSON.
constexpr std::size_t max_json_cells = 5000;

std::string level_percent(double level) { return shortest(100 * level) + "%"; }

std::string ratio_text(double ratio) {
  return std::isnan(ratio) ? "n/a" : fixed(ratio, ratio < 10 ? 2 : 1);
}

// The categories that use some expert more, one or a few rows each.
report::Table top_table(const ExpertCategoriesResult& result) {
  using Align = report::Table::Align;
  report::Table table(
      {"category", "layer/expert", "rate", "95% interval", "others", "ratio", "adjusted p"},
      {Align::left, Align::right, Align::right, Align::left, Align::right, Align::right,
       Align::right});
  for (std::size_t c = 0; c < result.significant.size(); ++c) {
    const std::vector<std::size_t> named = named_cells(result, c);
    for (std::size_t i = 0; i < named.size(); ++i) {
      const ExpertCell& cell = result.cells[named[i]];
      table.add_row({i == 0 ? printable(result.categories[c], 60) : "",
                     fmt::format("{}/{}", cell.layer, cell.expert), fixed(cell.rate, 3),
                     interval_text(cell.ci95, 3), fixed(cell.rate_others, 3),
                     ratio_text(cell.ratio), p_text(cell.p_adjusted, result.n_permutations)});
    }
  }
  return table;
}

// "code 8 more and 3 less, math none, …".
std::string counts_text(const ExpertCategoriesResult& result) {
  constexpr std::size_t n_named = 12;
  std::string text;
  for (std::size_t c = 0; c < std::min(n_named, result.categories.size()); ++c) {
    const stats::CategoryExperts& own = result.significant[c];
    text += fmt::format("{}{} ", c > 0 ? ", " : "", printable(result.categories[c], 60));
    if (own.more.empty() && own.less.empty()) {
      text += "none";
    } else {
      text += fmt::format("{} more and {} less", own.more.size(), own.less.size());
    }
  }
  return text + (result.categories.size() > n_named ? ", …" : "");
}

std::string design_text(const ExpertCategoriesResult& result) {
  std::string text = fmt::format(
      "tests: {} of {}, {} relabellings", result.positions.text(),
      counted(static_cast<std::int64_t>(result.n_units), result.grouped ? "unit" : "prompt"),
      result.n_permutations);
  if (result.positions.n_short > 0) {
    text += fmt::format(
        "; {} shorter and left out",
        result.positions.n_short == 1
            ? "1 prompt is"
            : counted(static_cast<std::int64_t>(result.positions.n_short), "prompt") + " are");
  }
  return text + "; rates and intervals: all selected tokens";
}

std::string outcome_of(const ExpertCategoriesResult& result) {
  if (!result.tested()) return "cannot tell";
  return result.n_significant > 0 ? "experts differ" : "no expert differs";
}

// All cells, or if they are many those listed as different, the clearest of them.
std::vector<std::size_t> json_cells(const ExpertCategoriesResult& result) {
  std::vector<std::size_t> indices(result.cells.size());
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  if (indices.size() <= max_json_cells) return indices;
  const auto size = [&](std::size_t i) { return std::abs(result.cells[i].t); };
  std::erase_if(indices, [&](std::size_t i) {
    return !result.cells[i].significant && !(result.cells[i].q_value <= result.level);
  });
  std::stable_sort(indices.begin(), indices.end(),
                   [&](std::size_t a, std::size_t b) { return size(a) > size(b); });
  indices.resize(std::min(indices.size(), max_json_cells));
  std::sort(indices.begin(), indices.end());
  return indices;
}

Json cell_json(const ExpertCategoriesResult& result, const ExpertCell& cell) {
  return Json::object(
      {{"layer", cell.layer},
       {"expert", cell.expert},
       {"category", result.categories[static_cast<std::size_t>(cell.category)]},
       {"rate", Json::object({{"estimate", cell.rate}, {"ci95", interval_json(cell.ci95)}})},
       {"rate_others", cell.rate_others},
       {"ratio", cell.ratio},
       {"log2_ratio", cell.log2_ratio},
       {"t", cell.t},
       {"p_value", cell.p_value},
       {"p_adjusted", cell.p_adjusted},
       {"q_value", cell.q_value},
       {"significant", cell.significant}});
}

bool is_listed(const ExpertCategoriesResult& result, const ExpertCell& cell) {
  return cell.q_value <= result.level;
}

report::Figure ratios_figure(const ExpertCategoriesResult& result) {
  report::Heatmap chart;
  for (int e = 0; e < result.shape.n_experts; ++e) chart.column_labels.push_back(std::to_string(e));
  for (std::size_t c = 0; c < result.categories.size(); ++c) {
    for (int layer = 0; layer < result.shape.n_layers; ++layer) {
      chart.row_labels.push_back(fmt::format("{}, layer {}", result.categories[c], layer));
      for (int e = 0; e < result.shape.n_experts; ++e) {
        const ExpertCell& cell = result.at(layer, e, static_cast<int>(c));
        chart.values.push_back(is_listed(result, cell) ? cell.log2_ratio : stats::undefined);
      }
    }
  }
  chart.group_names = result.categories;
  chart.group_sizes.assign(result.categories.size(), result.shape.n_layers);
  chart.row_title = "category, layers from top to bottom";
  chart.column_title = "expert";
  chart.value_title = "log₂ ratio to the other categories";
  chart.scale = {.kind = report::ColourScale::Kind::diverging, .low = -3, .high = 3};
  chart.empty_title = "no difference that the false discovery rate allows to name";
  chart.row_key = "category_layer";
  chart.column_key = "expert";
  chart.value_key = "log2_ratio";
  return {
      "experts_by_category", "Experts that categories use more or less than others",
      fmt::format("log₂ of the share of a category's tokens that select the expert over that of "
                  "the other categories' tokens; 1 is twice as often, −1 half as often, the "
                  "colours end at ±3. Only experts at a false discovery rate of {} are "
                  "coloured ({} of {}): {}.",
                  level_percent(result.level), result.n_listed, result.cells.size(),
                  design_text(result)),
      std::move(chart)};
}

report::Figure counts_figure(const ExpertCategoriesResult& result) {
  report::Heatmap chart;
  for (int layer = 0; layer < result.shape.n_layers; ++layer) {
    chart.column_labels.push_back(std::to_string(layer));
  }
  for (std::size_t c = 0; c < result.categories.size(); ++c) {
    chart.row_labels.push_back(result.categories[c]);
    for (int layer = 0; layer < result.shape.n_layers; ++layer) {
      double n = 0;
      for (int e = 0; e < result.shape.n_experts; ++e) {
        n += is_listed(result, result.at(layer, e, static_cast<int>(c))) ? 1 : 0;
      }
      chart.values.push_back(n);
    }
  }
  chart.row_title = "category";
  chart.column_title = "MoE layer";
  chart.value_title = "experts that differ";
  chart.scale = {.low = 0, .high = static_cast<double>(result.shape.n_experts)};
  chart.row_key = "category";
  chart.column_key = "layer";
  chart.value_key = "n_experts";
  return {
      "experts_by_category", "How many experts categories use more or less than others",
      fmt::format("The number of experts of a layer, of {}, that the category uses more or less "
                  "than the other categories at a false discovery rate of {}: {}.",
                  result.shape.n_experts, level_percent(result.level), design_text(result)),
      std::move(chart)};
}

}  // namespace

std::string summary_of(const ExpertCategoriesResult& result) {
  if (!result.tested()) {
    return fmt::format("cannot tell which experts categories use: {}{}",
                       result.check.outcome == stats::Comparability::lengths ? "lengths: " : "",
                       printable(result.check.reason));
  }
  const std::string listed = fmt::format(
      "{} at a false discovery rate of {}",
      result.n_listed == 0 ? "none" : std::to_string(result.n_listed), level_percent(result.level));
  if (result.n_significant == 0) {
    return fmt::format(
        "no expert differs between categories: smallest adjusted p {} (max-T over {} experts × "
        "categories); {}",
        p_text(result.smallest_p_adjusted, result.n_permutations), result.cells.size(), listed);
  }
  return fmt::format("{} of {} experts × categories differ (max-T, adjusted p ≤ {}); {}",
                     result.n_significant, result.cells.size(), shortest(result.level), listed);
}

std::vector<std::size_t> named_cells(const ExpertCategoriesResult& result, std::size_t category) {
  const std::size_t n_shown = std::clamp<std::size_t>(40 / result.categories.size(), 1, 5);
  std::vector<std::size_t> named = result.significant[category].more;
  named.resize(std::min(n_shown, named.size()));
  return named;
}

void describe(const ExpertCategoriesResult& result, report::Document& document) {
  document.paragraph(summary_of(result));
  if (!result.tested()) {
    if (result.check.outcome == stats::Comparability::lengths && result.check.n_possible > 0) {
      document.note(fmt::format("--common-tokens {} would compare the first {}",
                                result.check.n_possible, result.check.n_possible));
    }
    return;
  }
  document.note(design_text(result));
  if (result.n_significant == 0) return;
  document.note("by category: " + counts_text(result));
  const bool any_more =
      std::any_of(result.significant.begin(), result.significant.end(),
                  [](const stats::CategoryExperts& own) { return !own.more.empty(); });
  if (any_more)
    document.table(top_table(result), "Experts that a category uses more than others do");
}

void add_json(const ExpertCategoriesResult& result, Json& json) {
  json.set("outcome", outcome_of(result));
  json.set("reason", result.tested() ? Json() : Json(stats::name_of(result.check.outcome)));
  json.set("explanation", result.tested() ? Json() : Json(result.check.reason));
  json.set("common_positions", common_positions_json(result.positions));
  json.set("n_units", result.n_units);
  json.set("permutations", result.n_permutations);
  json.set("smallest_p_value", result.smallest_p_value);
  json.set("n_cells", result.cells.size());
  json.set("n_significant", result.n_significant);
  json.set("n_listed", result.n_listed);
  Json::Array cells;
  for (const std::size_t i : json_cells(result)) {
    cells.push_back(cell_json(result, result.cells[i]));
  }
  json.set("cells", std::move(cells));
}

std::string tsv_of(const ExpertCategoriesResult& result) {
  report::Tsv tsv({"layer", "expert", "category", "rate", "ci95_low", "ci95_high", "rate_others",
                   "log2_ratio", "t", "p_value", "p_adjusted", "q_value", "significant"});
  for (const ExpertCell& cell : result.cells) {
    tsv.add_row({std::to_string(cell.layer), std::to_string(cell.expert),
                 result.categories[static_cast<std::size_t>(cell.category)], shortest(cell.rate),
                 shortest(cell.ci95[0]), shortest(cell.ci95[1]), shortest(cell.rate_others),
                 shortest(cell.log2_ratio), shortest(cell.t), shortest(cell.p_value),
                 shortest(cell.p_adjusted), shortest(cell.q_value),
                 cell.significant ? "true" : "false"});
  }
  return tsv.text();
}

report::Figure figure_of(const ExpertCategoriesResult& result) {
  return result.cells.size() <= report::max_svg_cells ? ratios_figure(result)
                                                      : counts_figure(result);
}

}  // namespace moexray::app
