#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "analysis.h"
#include "headline_text.h"
#include "interval_text.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/confounds.h"
#include "nested_flags.h"
#include "shuffled_trace.h"
#include "work_progress.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::ConfoundsResult;
using stats::Outcome;

Json accuracy_json(double mean, const std::array<double, 2>& ci95) {
  return Json::object({{"mean", mean}, {"ci95", interval_json(ci95)}});
}

Json json_of(const ConfoundsResult& result, int n_repetitions) {
  Json::Array features;
  for (const stats::FeatureAccuracy& feature : result.features) {
    features.push_back(
        Json::object({{"name", feature.name},
                      {"accuracy", accuracy_json(feature.mean, feature.ci95)},
                      {"coverage", feature.coverage},
                      {"left_out", feature.left_out.empty() ? Json() : Json(feature.left_out)}}));
  }
  Json::Array differences;
  for (const stats::AccuracyDifference& difference : result.differences) {
    differences.push_back(
        Json::object({{"name", difference.name},
                      {"accuracy", accuracy_json(difference.mean, difference.ci95)}}));
  }
  const stats::ConfoundsVerdict& verdict = result.verdict;
  return Json::object(
      {{"features", std::move(features)},
       {"differences", std::move(differences)},
       {"verdict",
        Json::object({{"outcome", stats::name_of(verdict.outcome)},
                      {"p_value", verdict.p_value},
                      {"smallest_detectable", verdict.smallest_detectable},
                      {"accuracy", verdict.accuracy},
                      {"chance", verdict.chance},
                      {"permutations", verdict.n_permutations},
                      {"reason", verdict.reason.empty() ? Json() : Json(verdict.reason)}})},
       {"n_prompts", result.n_prompts},
       {"n_units", result.n_units},
       {"repetitions", n_repetitions},
       {"notices", Json::array(result.notices)}});
}

std::string verdict_text(const stats::ConfoundsVerdict& verdict) {
  const std::string numbers =
      fmt::format("signature minus expected: accuracy {}, {} under permuted labels, p = {}",
                  fixed(verdict.accuracy, 3), fixed(verdict.chance, 3),
                  p_text(verdict.p_value, verdict.n_permutations));
  switch (verdict.outcome) {
    case Outcome::adds:
      return "Verdict: routing adds to what the words tell about the category (" + numbers + ").";
    case Outcome::no_evidence:
      return fmt::format(
          "Verdict: no evidence that routing adds to what the words tell about the category ({}); "
          "an accuracy {} above chance would have been found four times out of five.",
          numbers, fixed(verdict.smallest_detectable, 3));
    case Outcome::cannot_tell:
      break;
  }
  std::string text =
      "Verdict: these data cannot tell whether routing adds to what the words tell "
      "about the category: " +
      verdict.reason;
  if (!std::isnan(verdict.p_value)) text += " (" + numbers + ")";
  return text + ".";
}

report::Document document_of(const ConfoundsResult& result, int n_repetitions) {
  report::Table table({"features", "accuracy", "95% interval", "coverage"});
  for (const stats::FeatureAccuracy& feature : result.features) {
    if (!feature.left_out.empty()) continue;
    table.add_row({feature.title, fixed(feature.mean, 3), interval_text(feature.ci95, 3),
                   std::isnan(feature.coverage) ? "" : fixed(feature.coverage, 3)});
  }
  report::Document document;
  if (!result.features.empty()) {
    document.table(std::move(table), "How well features tell the categories apart");
    document.note(n_repetitions > 0
                      ? fmt::format("intervals: nested cross-validation, {}; coverage: share of a "
                                    "held-out prompt's tokens that could be used",
                                    counted(n_repetitions, "repetition"))
                      : "coverage: share of a held-out prompt's tokens that could be used");
  }
  if (!result.differences.empty()) {
    report::Table differences({"difference of accuracies", "mean", "95% interval"});
    for (const stats::AccuracyDifference& difference : result.differences) {
      differences.add_row(
          {difference.name, fixed(difference.mean, 3), interval_text(difference.ci95, 3)});
    }
    document.table(std::move(differences), "Differences between features");
    document.note("shown, and decide nothing: see the documentation");
  }
  document.paragraph(verdict_text(result.verdict));
  return document;
}

std::string tsv_of(const ConfoundsResult& result) {
  report::Tsv tsv({"features", "accuracy", "ci95_low", "ci95_high", "coverage", "left_out"});
  for (const stats::FeatureAccuracy& feature : result.features) {
    tsv.add_row({feature.name, shortest(feature.mean), shortest(feature.ci95[0]),
                 shortest(feature.ci95[1]), shortest(feature.coverage), feature.left_out});
  }
  return tsv.text();
}

// What guessing gets: the share of the largest category.
double chance_of(const stats::Signatures& signatures) {
  std::map<std::string, double> n_prompts;
  double largest = 0;
  for (const std::string& category : signatures.categories) {
    largest = std::max(largest, ++n_prompts[category]);
  }
  return largest / static_cast<double>(signatures.size());
}

report::Figure figure_of(const ConfoundsResult& result, const stats::Signatures& signatures) {
  report::BarChart chart;
  for (const stats::FeatureAccuracy& feature : result.features) {
    if (!feature.left_out.empty()) continue;
    chart.labels.push_back(feature.title);
    chart.values.push_back(feature.mean);
    chart.lows.push_back(feature.ci95[0]);
    chart.highs.push_back(feature.ci95[1]);
  }
  const bool has_interval = std::any_of(chart.lows.begin(), chart.lows.end(),
                                        [](double low) { return !std::isnan(low); });
  chart.value_title = "held-out accuracy";
  if (has_interval) chart.error_title = "95% intervals (nested cross-validation)";
  chart.references = {{chance_of(signatures), "chance (the largest category)"}};
  chart.label_key = "features";
  chart.value_key = "accuracy";
  return {"fig7_confounds", "What tells the category of a prompt",
          "Held-out accuracy of the same classifier from the routing signature and from what might "
          "stand behind it. The comparison of bars decides nothing: see the verdict.",
          std::move(chart), verdict_text(result.verdict)};
}

Headline headline_of(const stats::ConfoundsVerdict& verdict) {
  return {.quantity = "beyond the token types, routing",
          .value = stats::name_of(verdict.outcome),
          .remark = std::isfinite(verdict.p_value)
                        ? "p = " + short_p_text(verdict.p_value) + ", signature minus expected"
                        : verdict.reason,
          .is_first = true};
}

Section section_of(const AnalysisInput& input, stats::ConfoundsOptions options) {
  WorkProgress progress(input, "confounds", stats::confounds_steps(options), "steps");
  options.work = progress.work();
  ConfoundsResult result = stats::confounds(input.side().signatures, input.side().tokens, options);
  if (input.settings.selection.weighted) {
    result.notices.emplace_back(
        "--weighted: only the features \"signature\" and \"layer 0\" use the router's weights");
  }
  Section section{.json = json_of(result, options.n_repetitions),
                  .document = document_of(result, options.n_repetitions),
                  .notices = result.notices};
  section.files.push_back(text_file("confounds.tsv", tsv_of(result)));
  section.figures.push_back(figure_of(result, input.side().signatures));
  section.headlines = {headline_of(result.verdict)};
  section.page_part =
      PagePart{.chapter = Chapter::inference, .title = "Does routing know more than the words?"};
  section.results.confounds = kept(std::move(result));
  return section;
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  stats::ConfoundsOptions options;
  read_nested_options(input, arguments, options);
  if (arguments.has("classifier-permutations")) {
    options.n_permutations = static_cast<int>(arguments.integer("classifier-permutations"));
  }
  if (arguments.has("model")) {
    options.shuffled = shuffled_signatures(input, arguments.text("model"));
  }
  return section_of(input, options);
}

Section run_affordable(const AnalysisInput& input, const Arguments& arguments) {
  if (arguments.on("full")) return run(input, arguments);
  stats::ConfoundsOptions asked;
  asked.n_repetitions = 10;
  asked.n_permutations = 199;
  return affordable_nested_section("confounds", input, arguments, asked, section_of);
}

std::vector<Flag> flags() {
  return {nested_folds_flag(),
          nested_repetitions_flag("200"),
          {.name = "--classifier-permutations",
           .type = FlagType::integer,
           .value_name = "N",
           .default_value = "1000",
           .help = "relabellings for the verdict's p-value; 0: no verdict",
           .min = 0,
           .max = 1'000'000},
          {.name = "--model",
           .value_name = "DIR",
           .help = "the traced model: it runs the prompts again with their tokens shuffled, as one "
                   "more control"},
          group_by_flag()};
}

}  // namespace

Analysis confounds_analysis() {
  return {.name = "confounds",
          .summary = "Does routing tell more than length, words and template do?",
          .description =
              "Classifies the categories from the signature and from what might stand behind it: "
              "equal numbers of tokens, lengths, token unigrams, layer 0, the routing that the "
              "token types alone would give, parts of the tokens. Every choice is made inside the "
              "training folds; intervals are by nested cross-validation. It ends in a verdict, "
              "from a permutation test of the signature minus what the token types alone would "
              "give: adds, no evidence, or cannot tell. Takes minutes. With -o DIR it writes "
              "confounds.tsv, the figure fig7_confounds and report.json.",
          .flags = flags(),
          .examples = {{"moexray confounds traces", "the table and the verdict"},
                       {"moexray confounds traces --model OLMoE-1B-7B-0125-Instruct",
                        "with the prompts' tokens shuffled as one more control"},
                       {"moexray confounds traces --nested-repetitions 0 --json -",
                        "the verdict without intervals; the results as JSON"}},
          .needs = {.tokens = true},
          .in_analyze = InAnalyze{.place = 90, .run = run_affordable, .left_out_by_quick = true},
          .run = run};
}

}  // namespace moexray::app
