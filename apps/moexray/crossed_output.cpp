#include "crossed_output.h"

#include <fmt/core.h>

#include <cmath>

#include "compared_text.h"
#include "interval_text.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "text_or_null.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using stats::CrossedEffect;

Json effect_json(const CrossedEffect& effect) {
  return Json::object({{"sum_of_squares", effect.sum_of_squares},
                       {"degrees_of_freedom", effect.degrees_of_freedom},
                       {"r2", effect.r_squared},
                       {"f", effect.test.statistic},
                       {"p_value", effect.test.p_value}});
}

Json noise_json(const CrossedEffect& noise) {
  return Json::object({{"sum_of_squares", noise.sum_of_squares},
                       {"degrees_of_freedom", noise.degrees_of_freedom},
                       {"r2", noise.r_squared}});
}

// Why there are no tests; empty: there are.
std::string why_not(const stats::CrossedTests& crossed, const stats::ComparedPrompts& compared) {
  return compared.comparable() ? crossed.reason : compared.check.reason;
}

}  // namespace

Json crossed_json(const stats::CrossedTests& crossed, const std::string& key,
                  const stats::ComparedPrompts& compared) {
  const std::string reason = why_not(crossed, compared);
  return Json::object({{"key", key},
                       {"values", Json::array(crossed.levels)},
                       {"n_units", crossed.n_units},
                       {"n_prompts", crossed.n_prompts},
                       {"n_left_out", crossed.n_left_out},
                       {"category", effect_json(crossed.category)},
                       {"cross", effect_json(crossed.topic)},
                       {"interaction", effect_json(crossed.interaction)},
                       {"between_units", noise_json(crossed.between)},
                       {"within_units", noise_json(crossed.within)},
                       {"draws", crossed.category.test.n_draws},
                       {"not_tested", text_or_null(reason)}});
}

void describe_crossed(const stats::CrossedTests& crossed, const std::string& key,
                      const std::string& group_key, const stats::ComparedPrompts& compared,
                      report::Document& document) {
  const std::string reason = why_not(crossed, compared);
  if (!reason.empty()) {
    document.paragraph(fmt::format("crossed with {}: not tested: {}", key, reason));
    return;
  }
  using Align = report::Table::Align;
  report::Table table({"", "sum of squares", "df", "R²", "pseudo-F", "p"}, {Align::left});
  const auto add = [&](const std::string& name, const CrossedEffect& effect) {
    const stats::PermutationTest& test = effect.test;
    table.add_row({name, fixed(effect.sum_of_squares, 3), std::to_string(effect.degrees_of_freedom),
                   fixed(effect.r_squared, 3),
                   std::isnan(test.statistic) ? "" : fixed(test.statistic, 2),
                   std::isnan(test.p_value) ? "" : p_text(test.p_value, test.n_draws)});
  };
  add("category", crossed.category);
  add(key, crossed.topic);
  add("category × " + key, crossed.interaction);
  add(group_key + " of a category", crossed.between);
  add(group_key + " × " + key, crossed.within);
  document.table(std::move(table), "Category and " + key + ", crossed");
  std::string left_out;
  if (crossed.n_left_out > 0) {
    left_out = fmt::format(" ({} left out: their unit has not each value once)",
                           counted(static_cast<std::int64_t>(crossed.n_left_out), "prompt"));
  }
  document.note(fmt::format(
      "{} ({}) with {} each{}, {}; {}: of categories between whole units, of {} within units",
      counted(static_cast<std::int64_t>(crossed.n_units), "unit"), group_key,
      counted(std::ssize(crossed.levels), "prompt"), left_out, tested_text(compared),
      counted(crossed.category.test.n_draws, "relabelling"), key));
}

}  // namespace moexray::app
