#include <fmt/core.h>

#include <cmath>

#include "analysis.h"
#include "compared_text.h"
#include "folds_file.h"
#include "headline_text.h"
#include "html_report_parts.h"
#include "interval_text.h"
#include "moexray/core/error.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/accuracy_test.h"
#include "moexray/stats/classify.h"
#include "nested_flags.h"
#include "text_or_null.h"
#include "work_progress.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::AccuracyTest;
using stats::ClassifyResult;

const std::string& category_of(const ClassifyResult& result, int index) {
  return result.categories[static_cast<std::size_t>(index)];
}

Json predictions_json(const ClassifyResult& result, const stats::Signatures& signatures) {
  Json::Array predictions;
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    const auto row = result.probabilities.row(static_cast<Eigen::Index>(i));
    const std::vector<double> probabilities(row.begin(), row.end());
    predictions.push_back(Json::object({{"id", signatures.ids[i]},
                                        {"category", signatures.categories[i]},
                                        {"predicted", category_of(result, result.predicted[i])},
                                        {"fold", result.folds[i]},
                                        {"probabilities", Json::array(probabilities)}}));
  }
  return predictions;
}

Json test_json(const AccuracyTest& test) {
  return Json::object({{"accuracy", test.accuracy},
                       {"chance", test.chance},
                       {"p_value", test.p_value},
                       {"permutations", test.n_permutations},
                       {"reason", text_or_null(test.left_out)}});
}

Json json_of(const ClassifyResult& result, const AccuracyTest& test, const Side& side) {
  const stats::Signatures& signatures = side.signatures;
  Json::Array confusion;
  Json::Array per_class;
  for (std::size_t k = 0; k < result.categories.size(); ++k) {
    const auto row = result.confusion.row(static_cast<Eigen::Index>(k));
    confusion.push_back(Json::array(std::vector<std::int64_t>(row.begin(), row.end())));
    const stats::ClassMetrics& metrics = result.per_class[k];
    per_class.push_back(Json::object({{"category", result.categories[k]},
                                      {"precision", metrics.precision},
                                      {"recall", metrics.recall},
                                      {"f1", metrics.f1},
                                      {"support", metrics.support}}));
  }
  Json::Array top_experts;
  for (const stats::ExpertWeight& expert : result.top_experts) {
    top_experts.push_back(Json::object({{"category", category_of(result, expert.category)},
                                        {"layer", expert.layer},
                                        {"expert", expert.expert},
                                        {"weight", expert.weight}}));
  }
  const stats::Accuracy& accuracy = result.accuracy;
  Json json = Json::object({{"accuracy", Json::object({{"mean", accuracy.mean},
                                                       {"std", accuracy.std},
                                                       {"folds", Json::array(accuracy.folds)},
                                                       {"wilson95", Json::array(accuracy.wilson95)},
                                                       {"ci95", interval_json(accuracy.ci95)}})},
                            {"macro_f1", result.macro_f1},
                            {"categories", Json::array(result.categories)},
                            {"confusion", std::move(confusion)},
                            {"per_class", std::move(per_class)},
                            {"chance", result.chance},
                            {"predictions", predictions_json(result, signatures)},
                            {"top_experts", std::move(top_experts)},
                            {"converged", result.converged},
                            {"n_prompts", result.n_prompts},
                            {"n_features", result.n_features},
                            {"accuracy_test", test_json(test)},
                            {"notices", Json::array(result.notices)}});
  add_compared(side.compared, json);
  return json;
}

// "on the first 17 prompt tokens: accuracy 0.750, 0.251 under permuted labels, p = 0.005".
std::string test_text(const AccuracyTest& test, const stats::ComparedPrompts& compared) {
  if (!test.left_out.empty()) return "better than chance? not tested: " + test.left_out;
  return fmt::format("{}: accuracy {}, {} under permuted labels, p = {} ({})",
                     tested_text(compared), fixed(test.accuracy, 3), fixed(test.chance, 3),
                     p_text(test.p_value, test.n_permutations),
                     counted(test.n_permutations, "relabelling"));
}

report::Table class_table(const ClassifyResult& result) {
  report::Table table({"category", "precision", "recall", "F1", "prompts"});
  for (std::size_t k = 0; k < result.categories.size(); ++k) {
    const stats::ClassMetrics& metrics = result.per_class[k];
    table.add_row({result.categories[k], fixed(metrics.precision, 3), fixed(metrics.recall, 3),
                   fixed(metrics.f1, 3), std::to_string(metrics.support)});
  }
  return table;
}

report::Table confusion_table(const ClassifyResult& result) {
  std::vector<std::string> headings{"true \\ predicted"};
  headings.insert(headings.end(), result.categories.begin(), result.categories.end());
  report::Table table(headings);
  for (std::size_t k = 0; k < result.categories.size(); ++k) {
    std::vector<std::string> cells{result.categories[k]};
    for (const std::int64_t n : result.confusion.row(static_cast<Eigen::Index>(k))) {
      cells.push_back(std::to_string(n));
    }
    table.add_row(cells);
  }
  table.square();
  table.whole_in("classify.tsv, which -o DIR writes, has every prediction; --json");
  return table;
}

// The prompts that a reader will want to look at, a few of them.
void add_wrong_prompts(const ClassifyResult& result, const stats::Signatures& signatures,
                       report::Document& document) {
  constexpr int n_shown = 20;
  using Align = report::Table::Align;
  report::Table table({"misclassified", "category", "predicted", "fold"},
                      {Align::left, Align::left, Align::left, Align::right});
  int n_wrong = 0;
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    if (result.predicted[i] == result.truth[i] || n_wrong++ >= n_shown) continue;
    table.add_row({signatures.ids[i], signatures.categories[i],
                   category_of(result, result.predicted[i]), std::to_string(result.folds[i])});
  }
  if (n_wrong == 0) return;
  document.table(std::move(table));
  if (n_wrong > n_shown) document.note(fmt::format("… and {} more", n_wrong - n_shown));
}

report::Table experts_table(const ClassifyResult& result) {
  constexpr int n_shown = 5;
  using Align = report::Table::Align;
  report::Table table({"category", "experts that speak for it (layer/expert, weight)"},
                      {Align::left, Align::left});
  for (std::size_t k = 0; k < result.categories.size(); ++k) {
    std::string cell;
    int n = 0;
    for (const stats::ExpertWeight& expert : result.top_experts) {
      if (expert.category != static_cast<int>(k) || n++ >= n_shown) continue;
      cell += fmt::format("{}{}/{} {}", cell.empty() ? "" : ", ", expert.layer, expert.expert,
                          fixed(expert.weight, 3));
    }
    table.add_row({result.categories[k], cell});
  }
  return table;
}

report::Document document_of(const ClassifyResult& result, const AccuracyTest& test,
                             const Side& side) {
  const stats::Accuracy& accuracy = result.accuracy;
  report::Document document;
  document.paragraph(fmt::format(
      "classification accuracy {} ± {} over {}, chance {}, macro F1 {}\n"
      "Wilson 95% interval {}–{} (binomial, ignores training variability)",
      fixed(accuracy.mean, 3), fixed(accuracy.std, 3), counted(std::ssize(accuracy.folds), "fold"),
      fixed(result.chance, 3), fixed(result.macro_f1, 3), fixed(accuracy.wilson95[0], 3),
      fixed(accuracy.wilson95[1], 3)));
  if (!std::isnan(accuracy.ci95[0])) {
    document.note(fmt::format("nested cross-validation 95% interval {}–{}",
                              fixed(accuracy.ci95[0], 3), fixed(accuracy.ci95[1], 3)));
  }
  document.note(test_text(test, side.compared));
  document.table(class_table(result));
  document.table(confusion_table(result));
  add_wrong_prompts(result, side.signatures, document);
  document.table(experts_table(result));
  return document;
}

std::vector<OutputFile> files_of(const ClassifyResult& result,
                                 const stats::Signatures& signatures) {
  std::vector<std::string> columns{"id", "category", "predicted", "fold"};
  for (const std::string& category : result.categories) columns.push_back("p_" + category);
  report::Tsv predictions(columns);
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    std::vector<std::string> cells{signatures.ids[i], signatures.categories[i],
                                   category_of(result, result.predicted[i]),
                                   std::to_string(result.folds[i])};
    for (const double p : result.probabilities.row(static_cast<Eigen::Index>(i))) {
      cells.push_back(shortest(p));
    }
    predictions.add_row(cells);
  }
  report::Tsv experts({"category", "layer", "expert", "weight"});
  for (const stats::ExpertWeight& expert : result.top_experts) {
    experts.add_row({category_of(result, expert.category), std::to_string(expert.layer),
                     std::to_string(expert.expert), shortest(expert.weight)});
  }
  std::vector<OutputFile> files;
  files.push_back(text_file("classify.tsv", predictions.text()));
  files.push_back(text_file("top_experts.tsv", experts.text()));
  return files;
}

report::Figure figure_of(const ClassifyResult& result) {
  report::Heatmap chart;
  chart.row_labels = chart.column_labels = result.categories;
  for (Eigen::Index k = 0; k < result.confusion.rows(); ++k) {
    const auto row = result.confusion.row(k);
    for (const std::int64_t n : row) {
      chart.values.push_back(static_cast<double>(n) / static_cast<double>(row.sum()));
      chart.cell_texts.push_back(std::to_string(n));
    }
  }
  chart.row_title = "category";
  chart.column_title = "predicted";
  chart.value_title = "share of the category's prompts";
  chart.show_values = true;
  chart.scale = {report::ColourScale::Kind::sequential, 0, 1, false, {result.chance, "chance"}};
  chart.row_key = "category";
  chart.column_key = "predicted";
  chart.value_key = "share";
  const stats::Accuracy& accuracy = result.accuracy;
  const bool has_interval = !std::isnan(accuracy.ci95[0]);
  const auto& interval = has_interval ? accuracy.ci95 : accuracy.wilson95;
  return {
      "fig6_confusion", "Categories predicted from routing",
      "How many prompts of each category (row) a classifier of the signatures that did not see "
      "them takes for which category (column).",
      std::move(chart),
      fmt::format("Accuracy {} (95% interval {}–{}, {}), chance {}.", fixed(accuracy.mean, 3),
                  fixed(interval[0], 3), fixed(interval[1], 3),
                  has_interval ? "nested cross-validation" : "binomial", fixed(result.chance, 3))};
}

std::vector<Headline> headlines_of(const ClassifyResult& result) {
  const stats::Accuracy& accuracy = result.accuracy;
  return {{.quantity = "classification accuracy",
           .value = with_spread(accuracy.mean, accuracy.std, 3),
           .interval = ends_text(accuracy.ci95, 3),
           .remark = fmt::format("chance {}; {} folds, ± over folds; Wilson 95% {}–{}",
                                 fixed(result.chance, 3), accuracy.folds.size(),
                                 fixed(accuracy.wilson95[0], 3), fixed(accuracy.wilson95[1], 3)),
           .is_first = true},
          {.quantity = "macro F1",
           .value = fixed(result.macro_f1, 3),
           .remark = "pooled held-out predictions"}};
}

AccuracyTest test_of(const AnalysisInput& input, const Arguments& arguments,
                     const stats::ClassifyOptions& classify) {
  if (!classify.folds.empty()) return {.left_out = "the folds are given"};
  const bool is_asked = arguments.has("classifier-permutations");
  stats::AccuracyTestOptions options;
  options.n_folds = classify.n_folds;
  options.c = classify.logistic.c;
  options.seed = classify.seed;
  options.n_threads = classify.n_threads;
  if (is_asked) {
    options.n_permutations = static_cast<int>(arguments.integer("classifier-permutations"));
  } else {
    // In analyze, where sizes decide.
    options = stats::affordable(options, input.side().signatures);
    if (options.n_permutations == 0)
      return {.left_out = "it would take minutes with so many prompts"};
  }
  WorkProgress progress(input, "permuted labels", options.n_permutations, "permutations");
  options.work = progress.work();
  return stats::test_accuracy(input.side().compared, options);
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  const stats::Signatures& signatures = input.side().signatures;
  stats::ClassifyOptions options;
  options.n_folds = static_cast<int>(arguments.integer("folds"));
  options.seed = input.settings.seed;
  options.n_threads = input.settings.n_threads;
  if (arguments.has("folds-file")) {
    if (arguments.given("folds")) {
      throw Error(ErrorKind::usage, "--folds and --folds-file exclude each other");
    }
    options.folds = read_folds(arguments.text("folds-file"), signatures);
  }
  options.groups = input.side().groups;
  // analyze has no fixed default: with many prompts nested cross-validation takes longer than all
  // the rest together.
  const std::int64_t affordable = signatures.size() <= 100 ? 25 : 0;
  const std::int64_t otherwise = arguments.on("full") ? 200 : affordable;
  const std::int64_t n_repetitions =
      arguments.has("nested-repetitions") ? arguments.integer("nested-repetitions") : otherwise;
  options.n_nested_repetitions = options.folds.empty() ? static_cast<int>(n_repetitions) : 0;
  WorkProgress progress(input, "nested cross-validation", options.n_nested_repetitions,
                        "repetitions");
  options.work = progress.work();
  ClassifyResult result = stats::classify(signatures, options);
  if (n_repetitions == 0) {
    result.notices.emplace_back(
        "the accuracy has no nested cross-validation interval; --nested-repetitions 200 computes "
        "it");
  } else if (!options.folds.empty()) {
    result.notices.emplace_back(
        "the accuracy has no nested cross-validation interval: the folds are given");
  } else if (result.accuracy.mean > stats::highest_calibrated_accuracy &&
             !std::isnan(result.accuracy.ci95[0])) {
    result.notices.emplace_back(
        "the nested cross-validation interval is not calibrated for accuracies above 0.97");
  }
  const AccuracyTest test = test_of(input, arguments, options);
  Section section{.json = json_of(result, test, input.side()),
                  .document = document_of(result, test, input.side()),
                  .files = files_of(result, signatures),
                  .notices = result.notices};
  section.figures.push_back(figure_of(result));
  section.headlines = headlines_of(result);
  section.results.classify = kept(std::move(result));
  section.results.accuracy_test = kept(test);
  section.page_part = PagePart{.chapter = Chapter::classification, .html = classification_html};
  return section;
}

std::vector<Flag> shared_flags() {
  return {{.name = "--folds",
           .type = FlagType::integer,
           .value_name = "N",
           .default_value = "5",
           .help = "stratified, shuffled folds of the cross-validation",
           .min = 2,
           .max = 1'000'000},
          {.name = "--folds-file",
           .value_name = "F.tsv",
           .help = "use these folds: header prompt_id (or id), fold; a row a prompt, folds from 0"},
          common_tokens_flag(),
          group_by_flag()};
}

std::vector<Flag> flags() {
  std::vector<Flag> own = shared_flags();
  own.push_back(nested_repetitions_flag("200"));
  own.push_back({.name = "--classifier-permutations",
                 .type = FlagType::integer,
                 .value_name = "N",
                 .default_value = "199",
                 .help = "relabellings for the p-value of the accuracy; 0: no test",
                 .min = 0,
                 .max = 1'000'000});
  return own;
}

}  // namespace

Analysis classify_analysis() {
  return {
      .name = "classify",
      .summary = "Cross-validated classification of categories from signatures",
      .description =
          "Logistic regression (L2, C = 1) on standardised signatures, every prompt predicted "
          "by a model that did not see it: accuracy over folds, its p-value by relabelling on the "
          "first tokens that prompts have in common, per-class report, confusion "
          "matrix, misclassified prompts, and the experts with the largest weights in a "
          "model of all prompts. The nested cross-validation interval of the accuracy takes a "
          "few seconds. With -o DIR it writes classify.tsv (predictions, with the probability of "
          "every category as the model that did not see the prompt gives it), "
          "top_experts.tsv, the figure fig6_confusion and report.json.",
      .flags = flags(),
      .examples = {{"moexray classify traces", "5 folds"},
                   {"moexray classify traces --group-by meta.source --nested-repetitions 1000",
                    "prompts of one source stay together; a steadier interval"},
                   {"moexray classify traces --folds-file folds.tsv --json -",
                    "given folds; the results as JSON"}},
      .needs = {.tokens = true, .takes_counts = true},
      .in_analyze =
          InAnalyze{.place = 70,
                    .flags = shared_flags(),
                    // Who names a folds file wants it used, or to hear what is wrong with it.
                    .is_required = [](const Arguments& a) { return a.has("folds-file"); }},
      .run = run};
}

}  // namespace moexray::app
