#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "analysis.h"
#include "coverage_text.h"
#include "headline_text.h"
#include "interval_text.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/confounds.h"
#include "nested_flags.h"
#include "shuffled_trace.h"
#include "text_or_null.h"
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

Json ladder_json(const stats::Ladder& ladder) {
  Json::Array rungs;
  for (const stats::LadderRung& rung : ladder.rungs) {
    rungs.push_back(Json::object({{"name", rung.name},
                                  {"held_fixed", Json::array(rung.held_fixed)},
                                  {"accuracy", rung.accuracy},
                                  {"coverage", rung.coverage},
                                  {"decisive", rung.is_decisive},
                                  {"left_out", text_or_null(rung.left_out)}}));
  }
  const stats::LadderRung* decisive = ladder.decisive();
  const stats::ConfoundsVerdict& verdict = ladder.verdict;
  const std::vector<std::string> not_excluded = {"previous token", "order", "syntax"};
  return Json::object(
      {{"ladder", std::move(rungs)},
       {"verdict",
        Json::object({{"outcome", stats::name_of(verdict.outcome)},
                      {"held_fixed", decisive != nullptr ? Json::array(decisive->held_fixed)
                                                         : Json(Json::Array())},
                      {"not_excluded", Json::array(not_excluded)},
                      {"positions", text_or_null(ladder.positions)},
                      {"p_value", verdict.p_value},
                      {"smallest_detectable", verdict.smallest_detectable},
                      {"accuracy", verdict.accuracy},
                      {"chance", verdict.chance},
                      {"permutations", verdict.n_permutations},
                      {"reason", text_or_null(verdict.reason)}})}});
}

Json json_of(const ConfoundsResult& result, int n_repetitions) {
  Json::Array features;
  for (const stats::FeatureAccuracy& feature : result.features) {
    features.push_back(Json::object({{"name", feature.name},
                                     {"accuracy", accuracy_json(feature.mean, feature.ci95)},
                                     {"coverage", feature.coverage},
                                     {"left_out", text_or_null(feature.left_out)}}));
  }
  Json::Array differences;
  for (const stats::AccuracyDifference& difference : result.differences) {
    differences.push_back(
        Json::object({{"name", difference.name},
                      {"accuracy", accuracy_json(difference.mean, difference.ci95)}}));
  }
  Json json = Json::object({{"features", std::move(features)},
                            {"differences", std::move(differences)},
                            {"n_prompts", result.n_prompts},
                            {"n_units", result.n_units},
                            {"repetitions", n_repetitions},
                            {"notices", Json::array(result.notices)}});
  const Json ladder = ladder_json(result.ladder);
  for (const auto& [key, value] : ladder.members()) json.set(key, value);
  return json;
}

std::string verdict_text(const stats::Ladder& ladder) {
  const stats::ConfoundsVerdict& verdict = ladder.verdict;
  const stats::LadderRung* rung = ladder.decisive();
  const std::string numbers = fmt::format(
      "signature minus expected: accuracy {}, {} under permuted labels, p = {}, on the {}{}",
      fixed(verdict.accuracy, 3), fixed(verdict.chance, 3),
      p_text(verdict.p_value, verdict.n_permutations), ladder.positions,
      coverage_text(rung != nullptr ? rung->coverage : stats::undefined));
  const std::string limits = " Previous token, order and syntax are not excluded.";
  switch (verdict.outcome) {
    case Outcome::adds:
      return "Verdict: routing tells the category beyond single tokens and positions (" + numbers +
             ")." + limits;
    case Outcome::no_evidence:
      return fmt::format(
          "Verdict: no evidence that routing tells the category beyond single tokens and positions "
          "({}); an accuracy {} above chance would have been found four times out of five.",
          numbers, fixed(verdict.smallest_detectable, 3));
    case Outcome::cannot_tell:
      break;
  }
  std::string text =
      "Verdict: these data cannot tell whether routing tells the category beyond single tokens and "
      "positions: " +
      verdict.reason;
  if (!std::isnan(verdict.p_value)) text += " (" + numbers + ")";
  return text + ".";
}

// The rungs, of a shadow's routing beside them if there is one.
void add_ladder(const stats::Ladder& ladder, const stats::Ladder* shadow,
                const std::string& shadow_name, report::Document& document) {
  if (ladder.rungs.empty()) return;
  const auto p_of = [](const stats::Ladder& own, const stats::LadderRung& rung) {
    return rung.is_decisive && !std::isnan(own.verdict.p_value)
               ? p_text(own.verdict.p_value, own.verdict.n_permutations)
               : std::string();
  };
  std::vector<std::string> titles = {"held fixed", "accuracy", "coverage", "p"};
  const bool has_shadow = shadow != nullptr && shadow->rungs.size() == ladder.rungs.size();
  if (has_shadow) titles.insert(titles.end(), {shadow_name, "p there"});
  report::Table table(titles);
  for (std::size_t i = 0; i < ladder.rungs.size(); ++i) {
    const stats::LadderRung& rung = ladder.rungs[i];
    if (!rung.left_out.empty()) continue;
    std::vector<std::string> row = {rung.title, fixed(rung.accuracy, 3),
                                    std::isnan(rung.coverage) ? "" : fixed(rung.coverage, 3),
                                    p_of(ladder, rung)};
    if (has_shadow) {
      row.push_back(fixed(shadow->rungs[i].accuracy, 3));
      row.push_back(p_of(*shadow, shadow->rungs[i]));
    }
    table.add_row(row);
  }
  document.table(std::move(table), "What remains on the " + ladder.positions);
  document.note(
      "the verdict is on types, positions and part; the other rungs claim nothing: they do not "
      "hold "
      "their level everywhere");
  if (has_shadow) {
    document.note(fmt::format(
        "{}: the same ladder on another routing of the same prompts; what it finds for a random "
        "router is what hidden states carry",
        shadow_name));
  }
}

// With --model: what the prompts' order does.
std::string order_text(const ConfoundsResult& result) {
  for (const stats::AccuracyDifference& difference : result.differences) {
    if (difference.name != "prompt_only − shuffled_prompt") continue;
    return fmt::format(
        "Order: the prompts' tokens as they stand tell the category with an accuracy {} above that "
        "of the same tokens shuffled (95% interval {}).",
        fixed(difference.mean, 3), interval_text(difference.ci95, 3));
  }
  return {};
}

report::Document document_of(const ConfoundsResult& result, int n_repetitions,
                             const stats::Ladder* shadow, const std::string& shadow_name) {
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
  add_ladder(result.ladder, shadow, shadow_name, document);
  const std::string order = order_text(result);
  if (!order.empty()) document.paragraph(order);
  document.paragraph(verdict_text(result.ladder));
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

std::string ladder_tsv(const stats::Ladder& ladder) {
  report::Tsv tsv({"rung", "held_fixed", "accuracy", "coverage", "p_value", "left_out"});
  for (const stats::LadderRung& rung : ladder.rungs) {
    std::string held_fixed;
    for (const std::string& name : rung.held_fixed) {
      held_fixed += (held_fixed.empty() ? "" : ", ") + name;
    }
    tsv.add_row({rung.name, held_fixed, shortest(rung.accuracy), shortest(rung.coverage),
                 rung.is_decisive ? shortest(ladder.verdict.p_value) : "", rung.left_out});
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
          std::move(chart)};
}

// A bar for each rung, with what the decisive one is compared with.
report::Figure ladder_figure(const stats::Ladder& ladder) {
  const stats::ConfoundsVerdict& verdict = ladder.verdict;
  report::BarChart chart;
  for (const stats::LadderRung& rung : ladder.rungs) {
    if (!rung.left_out.empty()) continue;
    chart.labels.push_back(rung.title + (rung.is_decisive ? " (decides)" : ""));
    chart.values.push_back(rung.accuracy);
  }
  chart.value_title = "held-out accuracy that remains";
  if (!std::isnan(verdict.chance)) {
    chart.references = {{verdict.chance, "mean under permuted labels"},
                        {verdict.chance + verdict.smallest_detectable,
                         "what would be found four times out of five"}};
  }
  chart.label_key = "held_fixed";
  chart.value_key = "accuracy";
  return {"fig7_ladder", "What remains once words and places are held fixed",
          "Held-out accuracy from the routing of the " + ladder.positions +
              " as more is held fixed. The verdict is on the bar that decides, and both lines are "
              "of it; the other bars claim nothing.",
          std::move(chart), verdict_text(ladder)};
}

Headline headline_of(const stats::ConfoundsVerdict& verdict) {
  return {.quantity = "beyond single tokens and positions, routing",
          .value = stats::name_of(verdict.outcome),
          .remark = std::isfinite(verdict.p_value)
                        ? "p = " + short_p_text(verdict.p_value) + ", signature minus expected"
                        : verdict.reason,
          .is_first = true};
}

// Throws unless the prompts of a shadow are those of the traces, token by token.
void check_same_prompts(const Side& side, const Side& shadow) {
  const auto fail = [&](const std::string& where, const std::string& expected,
                        const std::string& found) {
    throw Error(ErrorKind::data, {"--shadow is not of the same prompts", where, expected, found});
  };
  std::map<std::string, std::size_t> rows;
  for (std::size_t i = 0; i < shadow.signatures.size(); ++i) rows[shadow.signatures.ids[i]] = i;
  if (shadow.signatures.size() != side.signatures.size()) {
    fail({}, counted(std::ssize(side.signatures.ids), "prompt"),
         std::to_string(shadow.signatures.size()));
  }
  for (std::size_t i = 0; i < side.signatures.size(); ++i) {
    const std::string where = "prompt \"" + printable(side.signatures.ids[i], 60) + "\"";
    const auto found = rows.find(side.signatures.ids[i]);
    if (found == rows.end()) fail(where, "it in both", "in the traces only");
    const std::size_t j = found->second;
    if (side.signatures.categories[i] != shadow.signatures.categories[j]) {
      fail(where, "category \"" + printable(side.signatures.categories[i], 60) + "\"",
           "\"" + printable(shadow.signatures.categories[j], 60) + "\"");
    }
    const auto own = side.tokens.of_prompt(i);
    const auto other = shadow.tokens.of_prompt(j);
    if (own.size() != other.size()) {
      fail(where, counted(std::ssize(own), "token"), std::to_string(other.size()));
    }
    for (std::size_t t = 0; t < own.size(); ++t) {
      if (own[t].id == other[t].id && own[t].type == other[t].type &&
          own[t].is_template == other[t].is_template) {
        continue;
      }
      fail(where + fmt::format(", position {}", own[t].pos), "the same token in both",
           fmt::format("ids {} and {}", own[t].id, other[t].id));
    }
  }
}

Section section_of(const AnalysisInput& input, stats::ConfoundsOptions options) {
  const Side& side = input.sides.front();
  const Side* shadow = input.sides.size() > 1 ? &input.sides[1] : nullptr;
  if (shadow != nullptr) check_same_prompts(side, *shadow);
  const std::int64_t n_steps =
      stats::confounds_steps(options) + (shadow != nullptr ? stats::ladder_steps(options) : 0);
  WorkProgress progress(input, "confounds", n_steps, "steps");
  options.work = progress.work();
  ConfoundsResult result = stats::confounds(side.signatures, side.tokens, side.compared, options);
  const stats::Ladder of_shadow = shadow != nullptr
                                      ? stats::ladder(shadow->tokens, shadow->compared, options)
                                      : stats::Ladder();
  if (input.settings.selection.weighted) {
    result.notices.emplace_back(
        "--weighted: only the features \"signature\" and \"layer 0\" use the router's weights");
  }
  const std::string shadow_name = shadow == nullptr ? "" : printable(shadow->name, 30);
  Section section{.json = json_of(result, options.n_repetitions),
                  .document = document_of(result, options.n_repetitions,
                                          shadow == nullptr ? nullptr : &of_shadow, shadow_name),
                  .notices = result.notices};
  if (shadow != nullptr) {
    Json json = ladder_json(of_shadow);
    json.set("name", shadow->name);
    section.json.set("shadow", std::move(json));
  }
  section.files.push_back(text_file("confounds.tsv", tsv_of(result)));
  section.files.push_back(text_file("confounds_ladder.tsv", ladder_tsv(result.ladder)));
  if (!result.ladder.rungs.empty()) section.figures.push_back(ladder_figure(result.ladder));
  section.figures.push_back(figure_of(result, side.signatures));
  section.headlines = {headline_of(result.ladder.verdict)};
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
          nested_repetitions_flag("25"),
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
  return {
      .name = "confounds",
      .summary = "Does routing tell more than length, words and template do?",
      .description =
          "Classifies the categories from the signature and from what might stand behind it: "
          "equal numbers of tokens, lengths, token unigrams, layer 0, the routing that the "
          "token types alone would give, parts of the tokens. Every choice is made inside the "
          "training folds; intervals are by nested cross-validation. A ladder on the first tokens "
          "that prompts have in common shows what remains once token types, then their "
          "positions too, are held fixed; it ends in a verdict, by a permutation test of the "
          "latter: adds, no evidence, or cannot tell. Previous token, order and syntax are "
          "not excluded. With -o DIR it writes "
          "confounds.tsv, confounds_ladder.tsv, the figures fig7_ladder and fig7_confounds, and "
          "report.json.",
      .flags = flags(),
      .examples = {{"moexray confounds traces", "the table and the verdict"},
                   {"moexray confounds traces --model OLMoE-1B-7B-0125-Instruct",
                    "with the prompts' tokens shuffled as one more control"},
                   {"moexray confounds traces --nested-repetitions 0 --json -",
                    "the verdict without intervals; the results as JSON"}},
      .needs = {.tokens = true},
      .optional_sides = {{.name = "--shadow",
                          .type = FlagType::texts,
                          .value_name = "DIR",
                          .help = "another routing of the same prompts, a random router's say: "
                                  "its ladder stands beside that of TRACES"}},
      .in_analyze = InAnalyze{.place = 90, .run = run_affordable, .left_out_by_quick = true},
      .run = run};
}

}  // namespace moexray::app
