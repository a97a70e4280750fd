#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "analysis.h"
#include "compared_text.h"
#include "crossed_output.h"
#include "interval_text.h"
#include "moexray/core/error.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/crossed.h"
#include "moexray/stats/inference.h"
#include "moexray/stats/similarity.h"
#include "moexray/trace/meta_values.h"
#include "stats_json.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::shortest;
using stats::InferenceResult;
using stats::IntervalEstimate;

std::string interval_text(const IntervalEstimate& estimate, int n_decimals) {
  if (!estimate.has_interval()) return "none: " + estimate.reason;
  return fixed(estimate.low, n_decimals) + " to " + fixed(estimate.high, n_decimals);
}

std::string test_text(const stats::PermutationTest& test) {
  return "p = " + p_text(test.p_value, test.n_draws);
}

report::Table intervals_table(const InferenceResult& result) {
  using Align = report::Table::Align;
  report::Table table({"", "estimate", "95% interval", "category-balanced", "95% interval"},
                      {Align::left, Align::right, Align::left, Align::right, Align::left});
  const stats::BootstrapResult& b = result.bootstrap;
  const auto add = [&](const char* name, const IntervalEstimate& own,
                       const IntervalEstimate& balanced) {
    table.add_row({name, fixed(own.estimate, 4), interval_text(own, 4), fixed(balanced.estimate, 4),
                   interval_text(balanced, 4)});
  };
  add("similarity within", b.within, b.balanced_within);
  add("similarity across", b.across, b.balanced_across);
  add("gap", b.gap, b.balanced_gap);
  table.add_row({"Cohen's d", fixed(b.cohens_d.estimate, 2), interval_text(b.cohens_d, 2), "", ""});
  std::string auc = interval_text(b.auc, 3);
  if (!b.auc_calibrated && b.auc.has_interval()) auc += ", not calibrated";
  table.add_row({"AUC", fixed(b.auc.estimate, 3), auc, "", ""});
  return table;
}

report::Table nulls_table(const InferenceResult& result) {
  report::Table table({"similarity", "within", "across", "gap", "Cohen's d"});
  const auto add = [&](const char* name, double within, double across, double d) {
    table.add_row({name, fixed(within, 4), fixed(across, 4), fixed(within - across, 4),
                   std::isnan(d) ? "" : fixed(d, 2)});
  };
  const stats::BootstrapResult& b = result.bootstrap;
  add("observed", b.within.estimate, b.across.estimate, b.cohens_d.estimate);
  if (!std::isnan(result.uniform.all)) {
    add("uniform routing, same numbers of tokens", result.uniform.within, result.uniform.across,
        stats::undefined);
  }
  if (!result.has_tokens) return table;
  add("popular experts, same numbers of tokens", result.popularity.simulated.within,
      result.popularity.simulated.across, stats::undefined);
  add("observed, noise-corrected", result.noise_corrected.within.mean,
      result.noise_corrected.across.mean, stats::undefined);
  add(fmt::format("observed, {} of every prompt", counted(result.rarefied.n_tokens, "token"))
          .c_str(),
      result.rarefied.within.mean, result.rarefied.across.mean, result.rarefied.cohens_d.mean);
  return table;
}

report::Table layers_table(const InferenceResult& result) {
  report::Table table({"layer", "Cohen's d", "adjusted p"}, {report::Table::Align::right});
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    table.add_row({std::to_string(i), fixed(result.layers[i].cohens_d, 2),
                   p_text(result.layers[i].p_adjusted, result.n_layer_draws)});
  }
  return table;
}

// `, none of "short"`: the categories that a correction has no prompt of.
std::string none_of(const std::vector<std::string>& categories) {
  return categories.empty() ? "" : ", none of " + quoted_list(categories);
}

std::string duplicates_text(const InferenceResult& result, const stats::Signatures& signatures) {
  constexpr std::size_t n_named = 5;
  std::string text;
  const auto& pairs = result.near_duplicates.pairs;
  for (std::size_t i = 0; i < std::min(n_named, pairs.size()); ++i) {
    text += fmt::format("{}{} and {} ({})", i > 0 ? ", " : "", signatures.ids[pairs[i].row],
                        signatures.ids[pairs[i].other],
                        pairs[i].equal_text ? "equal text" : fixed(pairs[i].similarity, 4));
  }
  if (result.near_duplicates.n_pairs > static_cast<std::int64_t>(n_named)) text += ", …";
  return fmt::format("near-duplicates: {}{}{}", result.near_duplicates.n_pairs,
                     text.empty() ? "" : ": ", text);
}

// The tests of labels that look at whole signatures.
void describe_tests(const InferenceResult& result, const stats::ComparedPrompts& compared,
                    report::Document& document) {
  if (!compared.comparable()) {
    document.paragraph("gap, PERMANOVA, PERMDISP and layers: " + tested_text(compared));
    return;
  }
  const stats::LocationTests& location = result.location;
  document.paragraph(fmt::format("gap: {} ({}), {}", test_text(location.gap),
                                 counted(location.gap.n_draws, "relabelling"),
                                 tested_text(compared)));
  document.note(fmt::format("there: gap {}; PERMANOVA: pseudo-F {}, R² {}, {}{}",
                            fixed(location.gap.statistic, 4),
                            fixed(location.permanova.statistic, 2), fixed(location.r_squared, 3),
                            test_text(location.permanova),
                            result.permanova_is_location ? "" : " (no evidence of location)"));
  document.note(fmt::format("PERMDISP: F {}, {}", fixed(result.dispersion.f.statistic, 2),
                            test_text(result.dispersion.f)));
}

report::Document document_of(const InferenceResult& result, const stats::ComparedPrompts& compared,
                             const stats::Signatures& signatures) {
  report::Document document;
  document.table(intervals_table(result),
                 "Similarities and what follows from them, with intervals");
  document.note(fmt::format(
      "studentised bootstrap, {} of {}; balanced: every category, and every pair of categories, "
      "counts the same",
      counted(result.bootstrap.n_resamples, "resample"),
      counted(static_cast<std::int64_t>(result.n_units), result.grouped ? "unit" : "prompt")));
  describe_tests(result, compared, document);
  document.table(nulls_table(result), "Beside what routing without preferences would give");
  const stats::SplitHalf& halves = result.noise_corrected.split_half;
  if (result.has_tokens) {
    document.note(fmt::format(
        "noise-corrected: assumes independent tokens; {}{}. Halves of one prompt: cosine {}, "
        "corrected {} (1 if its tokens are independent)",
        counted(result.noise_corrected.n_prompts, "prompt"),
        none_of(result.noise_corrected.empty_categories), fixed(halves.cosine, 4),
        fixed(halves.corrected, 3)));
  }
  if (result.rarefied.n_too_few_tokens > 0) {
    document.note(fmt::format(
        "at {} of every prompt: {}{}", counted(result.rarefied.n_tokens, "token"),
        counted(result.rarefied.n_prompts, "prompt"), none_of(result.rarefied.empty_categories)));
  }
  if (compared.comparable()) {
    document.table(layers_table(result), "Separation of the categories by layer");
    document.note("d and p " + tested_text(compared) +
                  "; adjusted p: of all layers together (max-T on |d|)");
  }
  document.note(duplicates_text(result, signatures));
  return document;
}

std::string tsv_of(const InferenceResult& result) {
  report::Tsv tsv({"layer", "tested_d", "p_adjusted"});
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    tsv.add_row({std::to_string(i), shortest(result.layers[i].cohens_d),
                 shortest(result.layers[i].p_adjusted)});
  }
  return tsv.text();
}

stats::InferenceOptions options_of(const AnalysisInput& input, const Arguments& arguments) {
  stats::InferenceOptions options;
  options.n_resamples = static_cast<int>(arguments.integer("resamples"));
  options.n_permutations = static_cast<int>(arguments.integer("permutations"));
  options.n_null_draws = static_cast<int>(arguments.integer("null-draws"));
  options.n_rarefactions = static_cast<int>(arguments.integer("rarefactions"));
  if (arguments.has("rarefy-to")) options.n_rarefied_tokens = arguments.integer("rarefy-to");
  options.seed = input.settings.seed;
  options.n_threads = input.settings.n_threads;
  options.stop = input.stop;
  return options;
}

// What categories are crossed with; empty: nothing.
std::string cross_key(const Arguments& arguments) { return meta_key(arguments, "cross"); }

void check_cross(const Arguments& arguments) {
  if (cross_key(arguments).empty() || arguments.has("group-by")) return;
  throw Error(ErrorKind::usage,
              "--cross needs --group-by meta.KEY: the units that have each of its values once");
}

stats::CrossedTests crossed_tests(const AnalysisInput& input, const std::string& key,
                                  const stats::InferenceOptions& options) {
  const Side& side = input.side();
  const std::vector<std::string> values = meta_values(side.traces, key, "value to cross");
  if (!side.compared.comparable()) return {};
  const stats::Signatures& signatures = side.compared.signatures;
  std::vector<std::string> topics;
  for (const std::size_t index : signatures.prompt_indices) topics.push_back(values[index]);
  return stats::test_crossed(stats::unit_blocks(signatures), stats::index_categories(signatures),
                             topics, side.compared.groups,
                             {.n_permutations = options.n_permutations,
                              .seed = options.seed,
                              .n_threads = options.n_threads,
                              .stop = options.stop});
}

// @param key empty: nothing is crossed
void add_crossed(const AnalysisInput& input, const std::string& key,
                 const stats::InferenceOptions& options, Section& section) {
  if (key.empty()) {
    section.json.set("crossed", report::Json());
    return;
  }
  stats::CrossedTests crossed = crossed_tests(input, key, options);
  const stats::ComparedPrompts& compared = input.side().compared;
  section.json.set("crossed", crossed_json(crossed, key, compared));
  describe_crossed(crossed, key, input.settings.reading.group_key, compared, section.document);
  section.results.crossed =
      kept(CrossedResult{key, input.settings.reading.group_key, std::move(crossed)});
}

Section section_of(const AnalysisInput& input, const stats::InferenceOptions& options) {
  const Side& side = input.side();
  std::vector<std::string> texts;
  for (const std::size_t index : side.signatures.prompt_indices) {
    texts.push_back(side.traces.prompts[index].text);
  }
  InferenceResult result =
      stats::inference({side.signatures, side.tokens, side.compared, side.groups, texts}, options);
  if (input.settings.selection.weighted) {
    result.notices.emplace_back(
        "--weighted: nulls, noise correction and rarefaction count selections, not weights");
  }
  Section section{.json = stats_json(result, side.compared, side.signatures),
                  .document = document_of(result, side.compared, side.signatures),
                  .notices = result.notices};
  section.files.push_back(text_file("stats_layers.tsv", tsv_of(result)));
  section.page_part = PagePart{.chapter = Chapter::inference, .title = "Of the similarities"};
  section.results.inference = kept(std::move(result));
  return section;
}

Flag count_flag(std::string name, std::string default_value, std::string help, int max) {
  return {.name = std::move(name),
          .type = FlagType::integer,
          .value_name = "N",
          .default_value = std::move(default_value),
          .help = std::move(help),
          .min = 1,
          .max = static_cast<double>(max)};
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  const stats::InferenceOptions options = options_of(input, arguments);
  Section section = section_of(input, options);
  add_crossed(input, cross_key(arguments), options, section);
  return section;
}

Section run_affordable(const AnalysisInput& input, const Arguments& arguments) {
  check_cross(arguments);
  const stats::InferenceOptions options =
      stats::affordable(options_of(input, arguments), input.side().signatures);
  Section section = section_of(input, options);
  add_crossed(input, cross_key(arguments), options, section);
  return section;
}

std::vector<Flag> flags(int n_resamples, int n_permutations) {
  return {count_flag("--resamples", std::to_string(n_resamples), "resamples of the bootstrap",
                     1'000'000),
          count_flag("--permutations", std::to_string(n_permutations),
                     "relabellings of gap, PERMANOVA, PERMDISP and layers", 10'000'000),
          count_flag("--null-draws", "100", "draws of the popularity null", 1'000'000),
          count_flag("--rarefactions", "20", "draws at equal numbers of tokens", 1'000'000),
          {.name = "--rarefy-to",
           .type = FlagType::integer,
           .value_name = "TOKENS",
           .help = "tokens of every prompt in those draws (default: as the shortest prompt has)",
           .min = 1,
           .max = 1'000'000'000},
          common_tokens_flag(),
          group_by_flag(),
          {.name = "--cross",
           .value_name = "meta.KEY",
           .help = "two-way test of the category and this key of the prompts' lines (the topic, "
                   "say), where every unit of --group-by is there with each of its values"}};
}

}  // namespace

Analysis stats_analysis() {
  return {.name = "stats",
          .summary = "Intervals, tests and nulls: how far the similarities can be trusted",
          .description =
              "95% intervals of the similarity within and across categories, their gap, Cohen's d "
              "and AUC, from a studentised bootstrap of prompts; permutation tests of the gap, of "
              "location (PERMANOVA), of spread (PERMDISP) and of every layer; what similarity "
              "uniform routing and popular experts alone would give prompts of these lengths; "
              "similarity corrected for the noise of few tokens, and at equal numbers of tokens; "
              "near-duplicates. --cross tells the category from another property of prompts that "
              "are crossed with it. With -o DIR it writes stats_layers.tsv and report.json. "
              "docs/statistics.md explains every number.",
          .flags = flags(10'000, 9999),
          .examples = {{"moexray stats traces", "all of it"},
                       {"moexray stats traces --group-by meta.template --json -",
                        "templates, not prompts, are the units; the results as JSON"},
                       {"moexray stats traces --cross meta.topic --group-by meta.wording",
                        "task or topic? For prompts/crossed80.jsonl"}},
          .needs = {.tokens = true, .takes_counts = true},
          .in_analyze = InAnalyze{.place = 50,
                                  .remark = "(with fewer draws)",
                                  .flags = flags(999, 999),
                                  .run = run_affordable},
          .check = check_cross,
          .run = run};
}

}  // namespace moexray::app
