#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "analysis.h"
#include "compared_text.h"
#include "headline_text.h"
#include "interval_text.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/information.h"
#include "moexray/stats/ties.h"
#include "nested_flags.h"
#include "text_or_null.h"
#include "work_progress.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::InformationResult;
using stats::TokenInformation;

constexpr double level = 0.05;

Json row_json(const TokenInformation& row) {
  Json json = Json::object({{"layer", row.layer}});
  if (row.expert >= 0) json.set("expert", row.expert);
  json.set("bits", row.bits);
  json.set("p_value", row.p_value);
  json.set("q_value", row.q_value);
  json.set("plug_in", row.plug_in);
  json.set("null_mean", row.null_mean);
  json.set("miller_madow", row.miller_madow);
  return json;
}

Json rows_json(const std::vector<TokenInformation>& rows) {
  Json::Array array;
  for (const TokenInformation& row : rows) array.push_back(row_json(row));
  return array;
}

Json json_of(const InformationResult& result, const stats::ComparedPrompts& compared,
             int n_repetitions) {
  Json json = Json::object({{"bound", Json::object({{"bits", result.bound.bits},
                                                    {"ci95", interval_json(result.bound.ci95)},
                                                    {"reason", text_or_null(result.bound.reason)},
                                                    {"entropy", result.bound.entropy}})},
                            {"layers", rows_json(result.layers)},
                            {"experts", rows_json(result.experts)},
                            {"adjustment", result.adjustment},
                            {"permutations", result.n_permutations},
                            {"repetitions", n_repetitions},
                            {"notices", Json::array(result.notices)}});
  add_compared(compared, json);
  return json;
}

bool is_max_t(const InformationResult& result) { return result.adjustment == "max-T"; }

const char* adjusted_name(const InformationResult& result) {
  return is_max_t(result) ? "adjusted p" : "q";
}

report::Table layers_table(const InformationResult& result) {
  report::Table table({"layer", "bits a token", "plug-in", "null mean", "Miller–Madow", "p",
                       adjusted_name(result)});
  for (const TokenInformation& row : result.layers) {
    table.add_row({std::to_string(row.layer), fixed(row.bits, 5), fixed(row.plug_in, 5),
                   fixed(row.null_mean, 5), fixed(row.miller_madow, 5),
                   p_text(row.p_value, result.n_permutations),
                   p_text(row.q_value, result.n_permutations)});
  }
  return table;
}

report::Table experts_table(const InformationResult& result) {
  constexpr std::size_t n_shown = 10;
  std::vector<std::size_t> order(result.experts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // What the tests point out comes first: under max-T that is not what has the most bits.
  const auto key = [&](std::size_t i) {
    const TokenInformation& row = result.experts[i];
    const bool counts = is_max_t(result) && row.q_value <= level;
    return std::pair(counts ? row.q_value : 1.0,
                     -stats::tie_key(row.bits, stats::similarity_rounding));
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
  report::Table table(
      {"layer/expert", "bits a token", "plug-in", "null mean", "p", adjusted_name(result)});
  for (std::size_t i = 0; i < std::min(n_shown, order.size()); ++i) {
    const TokenInformation& row = result.experts[order[i]];
    table.add_row({fmt::format("{}/{}", row.layer, row.expert), fixed(row.bits, 5),
                   fixed(row.plug_in, 5), fixed(row.null_mean, 5),
                   p_text(row.p_value, result.n_permutations),
                   p_text(row.q_value, result.n_permutations)});
  }
  return table;
}

std::int64_t n_telling(const InformationResult& result) {
  return std::count_if(result.experts.begin(), result.experts.end(),
                       [](const TokenInformation& row) { return row.q_value <= level; });
}

std::string summary(const InformationResult& result) {
  return fmt::format(
      "{} of {} {} information about the category, {} ({}, {} of prompts' labels)",
      n_telling(result), counted(std::ssize(result.experts), "expert"),
      result.experts.size() == 1 ? "carries" : "carry",
      is_max_t(result) ? "at a family-wise level of 5%" : "at a false discovery rate of 5%",
      result.adjustment, counted(result.n_permutations, "permutation"));
}

report::Document document_of(const InformationResult& result,
                             const stats::ComparedPrompts& compared) {
  report::Document document;
  const stats::InformationBound& bound = result.bound;
  if (!std::isnan(bound.bits)) {
    document.paragraph(fmt::format(
        "A classifier finds {} bits about the category in a prompt's signature, of {}: an estimate "
        "of what the signature holds at least (H − held-out cross-entropy)",
        fixed(bound.bits, 3), fixed(bound.entropy, 3)));
    document.note(fmt::format("nested cross-validation 95% interval {}{}",
                              interval_text(bound.ci95, 3),
                              bound.bits < 0 ? "; below 0: the classifier does worse than the "
                                               "categories' proportions"
                                             : ""));
  }
  if (result.n_permutations > 0) {
    document.paragraph(summary(result) + ", " + tested_text(compared));
  } else {
    document.paragraph("experts and layers: " + (compared.comparable()
                                                     ? "not tested: relabelling changes nothing"
                                                     : tested_text(compared)));
  }
  document.table(experts_table(result), "Experts that tell most about the category");
  document.table(layers_table(result), "What each layer tells about the category");
  document.note(
      "bits = (plug-in − its mean under permuted labels) / (1 − (K − 1)/(n − 1)), over all tokens; "
      "Miller–Madow: what it would be "
      "if tokens were independent, which they are not");
  return document;
}

std::string tsv_of(const InformationResult& result) {
  report::Tsv tsv(
      {"layer", "expert", "bits", "plug_in", "null_mean", "miller_madow", "p_value", "q_value"});
  for (const auto* rows : {&result.layers, &result.experts}) {
    for (const TokenInformation& row : *rows) {
      tsv.add_row({std::to_string(row.layer), row.expert < 0 ? "" : std::to_string(row.expert),
                   shortest(row.bits), shortest(row.plug_in), shortest(row.null_mean),
                   shortest(row.miller_madow), shortest(row.p_value), shortest(row.q_value)});
    }
  }
  return tsv.text();
}

Headline headline_of(const stats::InformationBound& bound) {
  return {.quantity = "information about the category",
          .value = fixed(bound.bits, 3),
          .interval = ends_text(bound.ci95, 3),
          .remark = "bits a prompt, of " + fixed(bound.entropy, 3) + "; estimate of a lower bound"};
}

// What `analyze` prints.
report::Document brief_of(const InformationResult& result, const stats::ComparedPrompts& compared) {
  std::string text;
  if (!std::isnan(result.bound.bits)) {
    text = fmt::format(
        "Information about the category in a prompt's signature: {} of {} bits (estimate of a "
        "lower bound; 95% interval {}). ",
        fixed(result.bound.bits, 2), fixed(result.bound.entropy, 2),
        interval_text(result.bound.ci95, 2));
  }
  if (result.n_permutations > 0) {
    text += fmt::format("{} of {} experts carry some ({}, 5%, {}).", n_telling(result),
                        result.experts.size(), result.adjustment, compared.positions.text());
  } else {
    text += "Experts were not tested.";
  }
  report::Document document;
  document.paragraph(text);
  return document;
}

Section section_of(const AnalysisInput& input, stats::InformationOptions options) {
  WorkProgress progress(input, "information",
                        stats::information_steps(input.side().signatures, options), "steps");
  options.work = progress.work();
  InformationResult result =
      stats::information(input.side().signatures, input.side().compared, options);
  Section section{.json = json_of(result, input.side().compared, options.n_repetitions),
                  .document = document_of(result, input.side().compared),
                  .notices = result.notices};
  section.files.push_back(text_file("information.tsv", tsv_of(result)));
  section.headlines = {headline_of(result.bound)};
  section.page_part = PagePart{.chapter = Chapter::inference, .title = "Bits about the category"};
  section.summary = brief_of(result, input.side().compared);
  return section;
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  stats::InformationOptions options;
  read_nested_options(input, arguments, options);
  if (arguments.given("permutations")) options.n_permutations = arguments.integer("permutations");
  return section_of(input, options);
}

Section run_affordable(const AnalysisInput& input, const Arguments& arguments) {
  if (arguments.on("full")) return run(input, arguments);
  stats::InformationOptions asked;
  asked.n_repetitions = 25;
  return affordable_nested_section("information", input, arguments, asked, section_of);
}

std::vector<Flag> flags() {
  return {nested_folds_flag(),
          nested_repetitions_flag("200"),
          {.name = "--permutations",
           .type = FlagType::integer,
           .value_name = "N",
           .help = "relabellings of the prompts (default: 20 for each expert of each layer, which "
                   "false discovery rates need; below, p-values are adjusted by max-T)",
           .min = 1,
           .max = 100'000'000},
          common_tokens_flag(),
          group_by_flag()};
}

}  // namespace

Analysis information_analysis() {
  return {.name = "information",
          .summary = "Bits that routing holds about the category: of a prompt, a layer, an expert",
          .description =
              "A lower bound of the information in a prompt's signature (entropy of the categories "
              "minus the held-out cross-entropy of a calibrated classifier, with its nested "
              "cross-validation interval), and the mutual information between the category and "
              "a token's routing at each layer and expert, minus what permuted labels give, with "
              "p-values and false discovery rates. With -o DIR it writes information.tsv and "
              "report.json.",
          .flags = flags(),
          .examples = {{"moexray information traces", "the bound, layers, and the best experts"},
                       {"moexray information traces --permutations 999 --nested-repetitions 0",
                        "quickly: no bound, p-values adjusted by max-T"}},
          .needs = {.tokens = true, .takes_counts = true},
          .in_analyze = InAnalyze{.place = 100, .run = run_affordable, .left_out_by_quick = true},
          .run = run};
}

}  // namespace moexray::app
