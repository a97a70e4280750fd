#include <fmt/core.h>

#include "expert_categories_output.h"
#include "html_report_parts.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/experts.h"
#include "sections.h"
#include "text_or_null.h"
#include "work_progress.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::ExpertsResult;
using stats::ExpertUse;

Json use_json(const ExpertUse& use) {
  return Json::object({{"layer", use.layer},
                       {"expert", use.expert},
                       {"count", use.count},
                       {"share", use.share},
                       {"share_over_uniform", use.share_over_uniform}});
}

Json uses_json(const std::vector<ExpertUse>& uses) {
  Json::Array result;
  for (const ExpertUse& use : uses) result.push_back(use_json(use));
  return result;
}

Json json_of(const ExpertsResult& result, const stats::ExpertOptions& options) {
  Json::Array categories;
  for (const std::string& category : result.categories) {
    categories.push_back(text_or_null(category));
  }
  Json::Array layers;
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const stats::LayerLoad& load = result.layers[i];
    layers.push_back(Json::object({{"layer", i},
                                   {"count", load.count},
                                   {"normalized_entropy", load.entropy},
                                   {"load_cv", load.load_cv},
                                   {"busiest", use_json(load.busiest)},
                                   {"n_busiest", load.n_busiest},
                                   {"n_unused", load.n_unused},
                                   {"n_underused", load.n_underused},
                                   {"n_overloaded", load.n_overloaded},
                                   {"collapsed", load.collapsed}}));
  }
  return Json::object({{"counted", options.weighted ? "router weights" : "selections"},
                       {"thresholds", Json::object({{"underused_below", options.underused},
                                                    {"overloaded_above", options.overloaded}})},
                       {"categories", std::move(categories)},
                       {"layers", std::move(layers)},
                       {"unused", uses_json(result.unused)},
                       {"underused", uses_json(result.underused)},
                       {"overloaded", uses_json(result.overloaded)},
                       {"notices", Json::array(result.notices)}});
}

// "17", or "0, of 4" where the lowest of four stands for all.
std::string busiest_text(const stats::LayerLoad& load) {
  const std::string expert = std::to_string(load.busiest.expert);
  return load.n_busiest < 2 ? expert : fmt::format("{}, of {}", expert, load.n_busiest);
}

report::Table layers_table(const ExpertsResult& result) {
  report::Table table(
      {"layer", "entropy", "load CV", "busiest", "× uniform", "unused", "underused", "overloaded"},
      {report::Table::Align::right});
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const stats::LayerLoad& load = result.layers[i];
    table.add_row({std::to_string(i), fixed(load.entropy, 3), fixed(load.load_cv, 2),
                   busiest_text(load), fixed(load.busiest.share_over_uniform, 2),
                   std::to_string(load.n_unused), std::to_string(load.n_underused),
                   std::to_string(load.n_overloaded)});
  }
  return table;
}

// "overloaded: 3/17 (5.21), 0/4 (4.10), … and 5 more"; nothing for an empty list.
void list_experts(const std::string& name, const std::vector<ExpertUse>& uses, bool with_value,
                  report::Document& document) {
  constexpr std::size_t n_shown = 12;
  if (uses.empty()) return;
  std::string text = name + ":";
  for (std::size_t i = 0; i < uses.size() && i < n_shown; ++i) {
    text += fmt::format("{} {}/{}", i > 0 ? "," : "", uses[i].layer, uses[i].expert);
    if (with_value) text += fmt::format(" ({})", fixed(uses[i].share_over_uniform, 2));
  }
  if (uses.size() > n_shown) text += fmt::format(", … and {} more", uses.size() - n_shown);
  document.note(text);
}

// "no layer has collapsed (…)".
std::string collapse_text(const ExpertsResult& result, const stats::ExpertOptions& options) {
  if (result.too_few_tokens) return "too few tokens to tell whether a layer has collapsed";
  std::string names;
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    if (result.layers[i].collapsed) names += (names.empty() ? "" : ", ") + std::to_string(i);
  }
  const std::string meaning =
      fmt::format("half of its experts below {} × uniform", shortest(options.underused));
  return names.empty() ? "no layer has collapsed (" + meaning + ")"
                       : "collapsed (" + meaning + "): layer " + names;
}

void describe_load(const ExpertsResult& result, const stats::ExpertOptions& options,
                   const RoutingShape& shape, report::Document& document) {
  document.paragraph(fmt::format(
      "expert usage: × uniform is an expert's share of its layer's {} over the even share 1/{}{}\n"
      "underused: used, but below {} × uniform; overloaded: above {} × uniform",
      options.weighted ? "router weight" : "selections", shape.n_experts,
      options.weighted ? std::string()
      : shape.top_k == 0
          ? std::string()
          : fmt::format(", {} if every token uses it",
                        shortest(static_cast<double>(shape.n_experts) / shape.top_k)),
      shortest(options.underused), shortest(options.overloaded)));
  document.table(layers_table(result), "The load of each layer");
  list_experts("unused (layer/expert)", result.unused, false, document);
  list_experts("overloaded (layer/expert, × uniform)", result.overloaded, true, document);
  document.note(collapse_text(result, options));
}

// `scope` tells the rows of all prompts from those of a category, whatever it is called.
void add_rows(const std::string& scope, const std::string& category, const stats::Matrix& counts,
              report::Tsv& tsv) {
  const stats::Matrix shares = stats::expert_shares(counts);
  const auto n_experts = static_cast<double>(counts.cols());
  for (Eigen::Index layer = 0; layer < counts.rows(); ++layer) {
    for (Eigen::Index e = 0; e < counts.cols(); ++e) {
      tsv.add_row({std::to_string(layer), std::to_string(e), scope, category,
                   shortest(counts(layer, e)), shortest(shares(layer, e)),
                   shortest(shares(layer, e) * n_experts)});
    }
  }
}

std::string tsv_of(const ExpertsResult& result) {
  report::Tsv tsv({"layer", "expert", "scope", "category", "count", "share", "share_over_uniform"});
  add_rows("all", "", result.counts, tsv);
  for (std::size_t k = 0; k < result.categories.size(); ++k) {
    add_rows("category", result.categories[k], result.category_counts[k], tsv);
  }
  return tsv.text();
}

report::Figure figure_of(const ExpertsResult& result) {
  const stats::Matrix shares = stats::expert_shares(result.counts);
  report::Heatmap chart;
  for (Eigen::Index layer = 0; layer < shares.rows(); ++layer) {
    chart.row_labels.push_back(std::to_string(layer));
  }
  for (Eigen::Index e = 0; e < shares.cols(); ++e) {
    chart.column_labels.push_back(std::to_string(e));
  }
  for (Eigen::Index i = 0; i < shares.size(); ++i) {
    chart.values.push_back(shares.data()[i] * static_cast<double>(shares.cols()));
  }
  chart.row_title = "MoE layer";
  chart.column_title = "expert";
  chart.value_title = "share of its layer's selections ÷ even share";
  chart.scale = {report::ColourScale::Kind::diverging, 1.0 / 8, 8, true};
  chart.row_key = "layer";
  chart.column_key = "expert";
  chart.value_key = "share_over_uniform";
  return {"experts", "Expert usage by layer",
          "Each expert's share of its layer's selections over the uniform share, all prompts "
          "together: 1 is an even share, 0 an expert that is never used.",
          std::move(chart)};
}

}  // namespace

stats::ExpertCategoriesResult expert_categories_result(const AnalysisInput& input,
                                                       const Arguments& arguments) {
  const Side& side = input.side();
  stats::ExpertCategoriesOptions options;
  options.tokens = input.settings.selection.tokens;
  options.seed = input.settings.seed;
  options.n_threads = input.settings.n_threads;
  if (arguments.given("permutations")) options.n_permutations = arguments.integer("permutations");
  options.positions.n_tokens = input.settings.common_tokens;
  WorkProgress progress(input, "experts", stats::expert_categories_steps(side.signatures, options),
                        "steps");
  options.work = progress.work();
  return stats::expert_categories(side.signatures, side.tokens, side.groups, options);
}

namespace {

std::vector<Headline> headlines_of(const ExpertsResult& result) {
  return {{.quantity = "experts that are never used",
           .value = std::to_string(result.unused.size()),
           .remark = "in all layers together"},
          {.quantity = "overloaded experts",
           .value = std::to_string(result.overloaded.size()),
           .remark = "above " + shortest(result.overloaded_above) + " × an even share"}};
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  stats::ExpertOptions options;
  options.underused = arguments.number("underused");
  options.overloaded = arguments.number("overloaded");
  options.weighted = input.settings.selection.weighted;
  const ExpertsResult load = stats::expert_usage(input.side().signatures, options);
  const stats::ExpertCategoriesResult categories = expert_categories_result(input, arguments);
  Section section{.json = json_of(load, options), .notices = load.notices};
  add_json(categories, section.json);
  describe(categories, section.document);
  describe_load(load, options, input.side().signatures.shape, section.document);
  section.notices.insert(section.notices.end(), categories.notices.begin(),
                         categories.notices.end());
  // Not named as the figures, whose numbers have files of their own.
  section.files.push_back(text_file("expert_usage.tsv", tsv_of(load)));
  if (!categories.cells.empty()) {
    section.files.push_back(text_file("expert_categories.tsv", app::tsv_of(categories)));
  }
  if (categories.tested()) section.figures.push_back(app::figure_of(categories));
  section.figures.push_back(figure_of(load));
  section.headlines = headlines_of(load);
  section.page_part =
      PagePart{.chapter = Chapter::experts, .html = experts_html, .holds_figures = true};
  section.results.experts = kept(load);
  section.results.expert_categories = kept(categories);
  return section;
}

}  // namespace

std::vector<Flag> experts_flags() {
  return {{.name = "--underused",
           .type = FlagType::number,
           .value_name = "X",
           .default_value = "0.2",
           .help = "an expert counts as underused below X times the uniform share",
           .min = 0,
           .max = 1},
          {.name = "--overloaded",
           .type = FlagType::number,
           .value_name = "X",
           .default_value = "4",
           .help = "an expert counts as overloaded above X times the uniform share",
           .min = 1,
           .max = 1e9},
          common_tokens_flag(),
          {.name = "--permutations",
           .type = FlagType::integer,
           .value_name = "N",
           .help = "relabellings of the prompts (default: 999 to 9,999 by the size of the trace)",
           .min = 1,
           .max = 10'000'000},
          group_by_flag()};
}

Analysis experts_analysis() {
  return {
      .name = "experts",
      .summary = "Which experts each category uses; the load of every layer",
      .description =
          "How often the tokens of each category select each expert, with intervals over "
          "prompts, and which experts a category uses more or less than the other categories: "
          "tests on the first tokens that prompts have in common, adjusted for all experts and "
          "categories together. Then how evenly each layer uses its experts, and which are "
          "never used, hardly used or overloaded; for this --weighted sums router weights in "
          "place of counts, and categories are not needed. With -o DIR it writes "
          "expert_categories.tsv (layer, expert, category), expert_usage.tsv, the figures "
          "experts_by_category and experts, and report.json.",
      .flags = experts_flags(),
      .examples = {{"moexray experts traces", "the experts of each category, and the load"},
                   {"moexray experts traces --tokens generation", "of the generated tokens alone"},
                   {"moexray experts traces --overloaded 3 -o usage",
                    "a lower threshold, and the tables of all experts"}},
      .needs = {.tokens = true, .takes_counts = true, .takes_pool = true},
      .in_analyze = InAnalyze{.place = 80, .flags = experts_flags(), .is_required = always},
      .run = run};
}

}  // namespace moexray::app
