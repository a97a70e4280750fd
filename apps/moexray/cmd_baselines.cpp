#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "analysis.h"
#include "compared_text.h"
#include "headline_text.h"
#include "interval_text.h"
#include "moexray/core/error.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/baselines.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::BaselinesResult;
using stats::PairStatistics;
using stats::SimulatedSimilarity;

Json observed_json(const PairStatistics& pairs) {
  return Json::object({{"mean", pairs.mean}, {"std", pairs.std}, {"n_pairs", pairs.n_pairs}});
}

Json simulated_json(const SimulatedSimilarity& simulated) {
  return Json::object(
      {{"mean", simulated.mean}, {"std", simulated.std}, {"draw_std", simulated.draw_std}});
}

Json groups_json(const std::vector<std::vector<std::string>>& groups) {
  Json::Array result;
  for (const auto& group : groups) result.push_back(Json::array(group));
  return result;
}

Json json_of(const BaselinesResult& result, const stats::ComparedPrompts& compared,
             const std::string& load_balance) {
  const stats::PermutationBaseline& permutation = result.permutation;
  Json balance = simulated_json(result.load_balance.all);
  balance.set("expected", result.load_balance.expected);
  balance.set("experts_drawn", load_balance);
  Json json =
      Json::object({{"within", observed_json(result.within)},
                    {"across", observed_json(result.across)},
                    {"permutation", Json::object({{"within", simulated_json(permutation.within)},
                                                  {"across", simulated_json(permutation.across)},
                                                  {"all", simulated_json(permutation.all)},
                                                  {"expected", permutation.expected}})},
                    {"load_balance", std::move(balance)},
                    {"label_shuffle", Json::object({{"gap", result.label_shuffle.gap},
                                                    {"p_value", result.label_shuffle.p_value},
                                                    {"draws", result.label_shuffle.n_draws}})},
                    {"ordering", Json::array(result.ordering)},
                    {"ordering_groups", groups_json(result.ordering_groups)},
                    {"draws", result.n_draws},
                    {"std_draws", result.n_std_draws},
                    {"notices", Json::array(result.notices)}});
  add_compared(compared, json);
  return json;
}

// One condition of the comparison, observed or simulated.
struct Condition {
  const char* name;  // in files
  const char* title;
  double mean;
  double std;
  double draw_std;
  double expected;
};

std::vector<Condition> conditions_of(const BaselinesResult& result) {
  const auto observed = [](const char* name, const char* title, const PairStatistics& pairs) {
    return Condition{name, title, pairs.mean, pairs.std, stats::undefined, stats::undefined};
  };
  const auto simulated = [](const char* name, const char* title, const SimulatedSimilarity& s,
                            double expected) {
    return Condition{name, title, s.mean, s.std, s.draw_std, expected};
  };
  const stats::PermutationBaseline& permutation = result.permutation;
  return {
      observed("across", "across categories", result.across),
      simulated("load_balance", "load balance", result.load_balance.all,
                result.load_balance.expected),
      observed("within", "within categories", result.within),
      simulated("permutation", "permutation", permutation.all, permutation.expected),
      simulated("permutation_within", "permutation, within", permutation.within, stats::undefined),
      simulated("permutation_across", "permutation, across", permutation.across, stats::undefined),
  };
}

std::string with_spaces(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

// "across < load balance = permutation < within".
std::string ordering_text(const BaselinesResult& result) {
  std::string text;
  for (const auto& group : result.ordering_groups) {
    for (std::size_t i = 0; i < group.size(); ++i) {
      text += (i > 0 ? " = " : text.empty() ? "" : " < ") + with_spaces(group[i]);
    }
  }
  return text;
}

report::Document document_of(const BaselinesResult& result,
                             const stats::ComparedPrompts& compared) {
  report::Table table({"similarity", "mean", "std", "std of draws", "closed form"});
  const auto or_blank = [](double value, int n_decimals) {
    return std::isnan(value) ? std::string() : fixed(value, n_decimals);
  };
  for (const Condition& condition : conditions_of(result)) {
    table.add_row({condition.title, fixed(condition.mean, 4), fixed(condition.std, 4),
                   or_blank(condition.draw_std, 5), or_blank(condition.expected, 4)});
  }
  report::Document document;
  document.table(std::move(table));
  document.note(
      fmt::format("baselines: {}; std over pairs, std of draws: of the mean from draw to draw",
                  counted(result.n_draws, "draw")));
  if (!result.ordering.empty()) document.note("ordering: " + ordering_text(result));
  if (!compared.comparable()) {
    document.note("label shuffle: " + tested_text(compared));
  } else {
    document.note(
        fmt::format("label shuffle: gap {}, p = {} ({}), {}", fixed(result.label_shuffle.gap, 4),
                    p_text(result.label_shuffle.p_value, result.label_shuffle.n_draws),
                    counted(result.label_shuffle.n_draws, "shuffle"), tested_text(compared)));
  }
  return document;
}

std::string tsv_of(const BaselinesResult& result) {
  report::Tsv tsv({"condition", "mean", "std", "draw_std", "expected"});
  for (const Condition& condition : conditions_of(result)) {
    tsv.add_row({condition.name, shortest(condition.mean), shortest(condition.std),
                 shortest(condition.draw_std), shortest(condition.expected)});
  }
  return tsv.text();
}

report::Figure figure_of(const BaselinesResult& result) {
  report::BarChart chart;
  constexpr std::size_t n_bars = 4;  // the permutation baseline as a whole
  for (const Condition& condition : conditions_of(result)) {
    if (chart.labels.size() == n_bars || std::isnan(condition.mean)) continue;
    chart.labels.push_back(condition.title);
    chart.values.push_back(condition.mean);
    chart.errors.push_back(condition.std);
  }
  chart.value_title = "mean similarity";
  chart.error_title = "standard deviation over pairs";
  chart.label_key = "condition";
  chart.value_key = "mean";
  chart.error_key = "std";
  return {"fig2_baselines", "Routing similarity and its baselines",
          "Mean similarity of prompt pairs of different categories, of pairs under uniform routing "
          "with the same numbers of tokens, of pairs of one category, and with experts permuted. "
          "Error bars: standard deviation over pairs.",
          std::move(chart)};
}

std::vector<Headline> headlines_of(const BaselinesResult& result) {
  const SimulatedSimilarity& balanced = result.load_balance.all;
  std::vector<Headline> headlines = {
      {.quantity = "load-balance baseline",
       .value = with_spread(balanced.mean, balanced.std, 4),
       .remark = "uniform routing, same numbers of tokens; closed form " +
                 fixed(result.load_balance.expected, 4)},
      {.quantity = "permutation baseline",
       .value = fixed(result.permutation.expected, 4),
       .remark = "experts permuted in every prompt and layer; exact expectation"}};
  const std::string ordering = ordering_text(result);
  if (!ordering.empty()) {
    headlines.push_back({.quantity = "ordering", .value = ordering, .remark = "mean similarities"});
  }
  if (std::isnan(result.label_shuffle.p_value)) return headlines;
  headlines.push_back(
      {.quantity = "label shuffle",
       .value = "p = " + short_p_text(result.label_shuffle.p_value),
       .remark = fmt::format("of the difference on common positions, {} of the categories",
                             counted(result.label_shuffle.n_draws, "shuffle"))});
  return headlines;
}

// What draws tokens.
void check_top_k(const Side& side) {
  if (side.traces.shape.top_k > 0) return;
  throw Error(ErrorKind::data,
              {"baselines need to know how many experts a token takes, which these counts do not "
               "say (import them with --top-k or --config)",
               side.traces.directories.front().string(),
               {},
               {}});
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  const std::string& load_balance = arguments.text("load-balance");
  stats::BaselineOptions options;
  options.n_draws = static_cast<int>(arguments.integer("draws"));
  options.n_shuffles = static_cast<int>(arguments.integer("shuffles"));
  options.load_balance = load_balance == "multinomial" ? stats::LoadBalance::multinomial
                                                       : stats::LoadBalance::distinct;
  options.seed = input.settings.seed;
  options.n_threads = input.settings.n_threads;
  options.stop = input.stop;
  check_top_k(input.side());
  BaselinesResult result =
      stats::baselines(input.side().signatures, input.side().compared, options);
  if (input.settings.selection.weighted) {
    result.notices.emplace_back(
        "--weighted: the permutation moves sums of weights, the load balance counts drawn experts");
  }
  Section section{.json = json_of(result, input.side().compared, load_balance),
                  .document = document_of(result, input.side().compared),
                  .notices = result.notices};
  section.files.push_back(text_file("baselines.tsv", tsv_of(result)));
  section.figures.push_back(figure_of(result));
  section.headlines = headlines_of(result);
  section.results.baselines = kept(std::move(result));
  return section;
}

std::vector<Flag> flags() {
  return {{.name = "--draws",
           .type = FlagType::integer,
           .value_name = "N",
           .default_value = "100",
           .help = "draws of the permutation and the load-balance baseline",
           .min = 1,
           .max = 1'000'000},
          {.name = "--shuffles",
           .type = FlagType::integer,
           .value_name = "N",
           .default_value = "9999",
           .help = "shuffles of the categories for the p-value",
           .min = 1,
           .max = 100'000'000},
          {.name = "--load-balance",
           .type = FlagType::choice,
           .value_name = "HOW",
           .default_value = "distinct",
           .help = "draw k different experts for a token, or k with replacement",
           .choices = {"distinct", "multinomial"}},
          common_tokens_flag()};
}

}  // namespace

Analysis baselines_analysis() {
  return {.name = "baselines",
          .summary = "What similarity is to be compared with: permuted, balanced, relabelled",
          .description =
              "Compares similarity within and across categories with three controls. Permutation: "
              "every prompt's counts are permuted among the experts of each layer. Load balance: "
              "every token's experts are drawn uniformly, each prompt keeping its number of "
              "tokens; a closed form stands beside the simulation. Label shuffle: the categories "
              "are permuted over the prompts, which gives the p-value of the gap between within "
              "and across. With -o DIR it writes baselines.tsv, the figure "
              "fig2_baselines and report.json.",
          .flags = flags(),
          .examples = {{"moexray baselines traces", "100 draws, 9,999 shuffles"},
                       {"moexray baselines traces --tokens generation --draws 1000 --json -",
                        "of the generated tokens, with more draws; the results as JSON"}},
          .needs = {.tokens = true, .takes_counts = true},
          .in_analyze = InAnalyze{.place = 30, .flags = flags()},
          .run = run};
}

}  // namespace moexray::app
