#include "compare_usage.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "compare_agreement.h"
#include "interval_text.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/usage_shift.h"
#include "moexray/trace/counts.h"
#include "text_or_null.h"
#include "work_progress.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::EntropyShift;
using stats::ExpertShift;
using stats::UsageShift;

// The whole table is in compare_usage.tsv.
constexpr std::size_t n_shown = 10;
constexpr std::size_t max_json_shifts = 2000;

// Indices of experts, the largest |t| first.
std::vector<std::size_t> by_size(const UsageShift& usage) {
  std::vector<std::size_t> order(usage.experts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return std::isnan(usage.experts[i].t); });
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::abs(usage.experts[a].t) > std::abs(usage.experts[b].t);
  });
  return order;
}

Json shift_json(const ExpertShift& shift) {
  return Json::object({{"layer", shift.layer},
                       {"expert", shift.expert},
                       {"first", shift.first},
                       {"second", shift.second},
                       {"delta", shift.difference},
                       {"ci95", interval_json(shift.ci95)},
                       {"t", shift.t},
                       {"p_value", shift.p_value},
                       {"p_adjusted", shift.p_adjusted},
                       {"q_value", shift.q_value},
                       {"significant", shift.significant}});
}

// All experts, or if they are many those of the largest |t|.
Json shifts_json(const UsageShift& usage) {
  std::vector<std::size_t> chosen = by_size(usage);
  chosen.resize(std::min(chosen.size(), max_json_shifts));
  std::sort(chosen.begin(), chosen.end());
  Json::Array shifts;
  for (const std::size_t i : chosen) shifts.push_back(shift_json(usage.experts[i]));
  return shifts;
}

Json entropies_json(const UsageShift& usage) {
  Json::Array json;
  for (const EntropyShift& shift : usage.entropies) {
    json.push_back(Json::object(
        {{"layer", shift.layer},
         {"category", shift.category < 0
                          ? Json()
                          : Json(usage.categories[static_cast<std::size_t>(shift.category)])},
         {"first", shift.first},
         {"second", shift.second},
         {"difference", clustered_json(shift.difference)}}));
  }
  return json;
}

Json usage_json(const UsageShift& usage, std::size_t n_unequal) {
  const bool tested = usage.check.comparable();
  return Json::object(
      {{"units", usage.n_units},
       {"tokens", usage.n_tokens},
       {"unequal_prompts", n_unequal},
       {"sign_flips", usage.n_draws},
       {"exact", usage.exact},
       {"n_significant", usage.n_significant},
       {"n_listed", usage.n_listed},
       {"experts", shifts_json(usage)},
       {"entropy", entropies_json(usage)},
       {"by_category",
        Json::object({{"f", usage.by_category.statistic},
                      {"p_value", usage.by_category.p_value},
                      {"r_squared", usage.r_squared},
                      {"permutations", usage.by_category.n_draws},
                      {"compared", text_or_null(tested ? usage.positions.text() : "")},
                      {"not_tested", text_or_null(usage.check.reason)}})}});
}

// With its sign, in points of a hundred.
std::string points_text(double difference) {
  return (difference < 0 ? "" : "+") + fixed(100 * difference, 2);
}

std::string counts_sentence(const UsageShift& usage) {
  const auto n_experts = static_cast<std::int64_t>(usage.experts.size());
  if (usage.n_draws == 0) return "usage: one unit cannot be tested";
  return fmt::format(
      "usage: {} of {} shifted (adjusted p ≤ 0.05 under {}), {} at a false discovery rate of 5%",
      usage.n_significant, counted(n_experts, "expert"),
      usage.exact
          ? fmt::format("all {} exchanges", usage.n_draws)
          : fmt::format("{} random exchanges of the two within prompts or groups", usage.n_draws),
      usage.n_listed);
}

report::Table shifts_table(const UsageShift& usage, const std::vector<std::size_t>& shown) {
  report::Table table(
      {"expert", "first %", "second %", "difference", "95% interval", "t", "adjusted p", "q"});
  for (const std::size_t i : shown) {
    const ExpertShift& shift = usage.experts[i];
    table.add_row({fmt::format("{}/{}", shift.layer, shift.expert), fixed(100 * shift.first, 2),
                   fixed(100 * shift.second, 2), points_text(shift.difference),
                   std::isnan(shift.ci95[0])
                       ? "n/a"
                       : points_text(shift.ci95[0]) + " to " + points_text(shift.ci95[1]),
                   fixed(shift.t, 1), p_text(shift.p_adjusted, usage.n_draws),
                   p_text(shift.q_value, usage.n_draws)});
  }
  table.whole_in("compare_usage.tsv (with -o DIR)");
  return table;
}

report::Table entropies_table(const UsageShift& usage) {
  report::Table table({"layer", "entropy", "second", "difference", "95% interval"});
  for (const EntropyShift& shift : usage.entropies) {
    if (shift.category >= 0) continue;
    table.add_row({std::to_string(shift.layer), fixed(shift.first, 3), fixed(shift.second, 3),
                   fixed(shift.difference.estimate, 4), interval_text(shift.difference.ci95, 4)});
  }
  return table;
}

std::string categories_sentence(const UsageShift& usage) {
  if (!usage.check.comparable()) {
    return "whether categories shift differently was not tested: " + usage.check.reason;
  }
  if (std::isnan(usage.by_category.statistic)) {
    return "whether categories shift differently: nothing changes on the " + usage.positions.text();
  }
  return fmt::format(
      "do categories shift differently? F = {}, p = {} ({} of the variance of the changes lies "
      "between categories; {})",
      fixed(usage.by_category.statistic, 2),
      std::isnan(usage.by_category.p_value)
          ? "n/a"
          : p_text(usage.by_category.p_value, usage.by_category.n_draws),
      fixed(usage.r_squared, 3), usage.positions.text());
}

void describe_usage(const ComparedPair& pair, const UsageShift& usage, report::Document& document) {
  document.paragraph(counts_sentence(usage));
  if (pair.is_one_of_several()) {
    document.note(categories_sentence(usage));
    return;
  }
  std::vector<std::size_t> shown = by_size(usage);
  shown.resize(std::min(shown.size(), n_shown));
  if (!shown.empty()) {
    document.table(shifts_table(usage, shown), "The experts whose use shifts most clearly");
    document.note(
        "first, second: percentage of the tokens of both that select the expert; the largest |t| "
        "first");
  }
  document.table(entropies_table(usage), "Entropy of the load of each layer, in bits");
  document.note(fmt::format("{} bits: all experts alike; of each category in report.json",
                            fixed(std::log2(usage.shape.n_experts), 3)));
  document.note(categories_sentence(usage));
}

std::string usage_tsv(const UsageShift& usage) {
  report::Tsv tsv({"layer", "expert", "first", "second", "difference", "ci95_low", "ci95_high", "t",
                   "p_value", "p_adjusted", "q_value", "significant"});
  for (const ExpertShift& shift : usage.experts) {
    std::vector<std::string> cells = {std::to_string(shift.layer), std::to_string(shift.expert)};
    for (const double value :
         {shift.first, shift.second, shift.difference, shift.ci95[0], shift.ci95[1], shift.t,
          shift.p_value, shift.p_adjusted, shift.q_value}) {
      cells.push_back(shortest(value));
    }
    cells.emplace_back(shift.significant ? "true" : "false");
    tsv.add_row(cells);
  }
  return tsv.text();
}

report::Figure usage_figure(const ComparedPair& pair, const UsageShift& usage) {
  report::Heatmap map;
  for (int e = 0; e < usage.shape.n_experts; ++e) map.column_labels.push_back(std::to_string(e));
  for (int layer = 0; layer < usage.shape.n_layers; ++layer) {
    map.row_labels.push_back(std::to_string(layer));
  }
  for (const ExpertShift& shift : usage.experts) map.values.push_back(100 * shift.difference);
  map.row_title = "MoE layer";
  map.column_title = "expert";
  map.value_title = "change, points of a hundred tokens";
  map.scale.kind = report::ColourScale::Kind::diverging;
  map.row_key = "layer";
  map.column_key = "expert";
  map.value_key = "difference";
  return {"compare_shifts" + pair.suffix, "Experts used more or less",
          fmt::format("By how many of a hundred tokens more the second routing selects each expert "
                      "than the first, for the same tokens; {} of {} experts shift (adjusted p ≤ "
                      "0.05).",
                      usage.n_significant, usage.experts.size()),
          std::move(map)};
}

stats::PairedUsage usage_of(const ComparedPair& pair) {
  const AnalysisSettings& settings = pair.input.settings;
  const bool has_tokens = !has_counts(pair.first.traces) && !has_counts(pair.other.traces);
  if (!has_tokens) {
    return stats::paired_usage(pair.first.signatures, pair.other.signatures, pair.first.groups);
  }
  pair.check_aligned("usage");
  return stats::paired_usage(pair.first.signatures, pair.first_tokens, pair.other_tokens,
                             pair.alignment, pair.first.groups, settings.selection.tokens,
                             {.n_tokens = settings.common_tokens});
}

void add_usage_notices(const UsageShift& usage, std::size_t n_unequal,
                       const stats::UsageShiftOptions& options, std::vector<std::string>& notices) {
  if (n_unequal > 0) {
    notices.push_back(fmt::format("usage: {} left out, which do not have as many tokens in both",
                                  counted(static_cast<std::int64_t>(n_unequal), "prompt")));
  }
  if (usage.n_units < options.min_units) {
    notices.push_back(fmt::format("usage: intervals need {} prompts or groups: there are {}",
                                  options.min_units, usage.n_units));
  }
  if (usage.n_draws > 0 && usage.smallest_p_adjusted > options.level) {
    notices.push_back(fmt::format(
        "usage: {} cannot give an adjusted p below {:.2g}",
        counted(static_cast<std::int64_t>(usage.n_units), "prompt or group", "prompts or groups"),
        usage.smallest_p_adjusted));
  }
}

}  // namespace

void add_usage(const ComparedPair& pair, Section& section) {
  check_same_experts(pair, "usage");
  const stats::PairedUsage paired = usage_of(pair);
  stats::UsageShiftOptions options;
  options.seed = pair.input.settings.seed;
  options.n_threads = pair.input.settings.n_threads;
  WorkProgress progress(pair.input, "exchanging", stats::usage_shift_steps(paired, options),
                        "steps");
  options.work = progress.work();
  const UsageShift usage = stats::usage_shift(paired, options);
  add_usage_notices(usage, paired.n_unequal, options, section.notices);
  section.json.set("usage", usage_json(usage, paired.n_unequal));
  describe_usage(pair, usage, section.document);
  section.files.push_back(text_file("compare_usage" + pair.suffix + ".tsv", usage_tsv(usage)));
  section.figures.push_back(usage_figure(pair, usage));
}

}  // namespace moexray::app
