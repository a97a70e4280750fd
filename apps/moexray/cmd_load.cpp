#include <fmt/core.h>

#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "analysis.h"
#include "moexray/core/error.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/load.h"
#include "moexray/trace/counts.h"
#include "moexray/trace/logits.h"
#include "placement_file.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::ChanceLoad;
using stats::LayerBalance;
using stats::LoadMetrics;
using stats::LoadResult;

struct ShownMetric {
  const char* key;
  double LoadMetrics::* field;
};
constexpr std::array<ShownMetric, 6> shown_metrics{
    {{"load_cv", &LoadMetrics::cv},
     {"max_over_mean", &LoadMetrics::max_over_mean},
     {"normalized_entropy", &LoadMetrics::entropy},
     {"effective_share", &LoadMetrics::effective_share},
     {"gini", &LoadMetrics::gini},
     {"balancedness", &LoadMetrics::balancedness}}};

Json metrics_json(const LoadMetrics& metrics) {
  Json json = Json::object({});
  for (const ShownMetric& metric : shown_metrics) json.set(metric.key, metrics.*metric.field);
  json.set("max_violation", metrics.max_over_mean - 1);
  return json;
}

Json chance_json(const ChanceLoad& chance) {
  if (chance.n_draws == 0) return {};
  return Json::object({{"mean", metrics_json(chance.mean)},
                       {"limit95", metrics_json(chance.limit95)},
                       {"draws", chance.n_draws}});
}

Json layer_json(std::size_t layer, const LayerBalance& own, const LoadResult& result) {
  Json json = Json::object({{"layer", layer}, {"tokens", own.tokens}, {"count", own.selections}});
  const Json metrics = metrics_json(own.load);
  for (const auto& [key, value] : metrics.members()) json.set(key, value);
  json.set("dead", Json::array(own.dead));
  json.set("expected_dead", own.expected_dead);
  json.set("switch_loss", own.switch_loss);
  json.set("router_z_loss", own.z_loss);
  json.set("window", result.n_windows == 0 ? Json()
                                           : Json::object({{"mean", own.window.mean},
                                                           {"largest", own.window.largest},
                                                           {"shuffled", own.window.shuffled},
                                                           {"uniform", own.window.uniform}}));
  json.set("nulls", Json::object({{"uniform", chance_json(own.uniform)},
                                  {"clusters", chance_json(own.clusters)}}));
  return json;
}

Json json_of(const LoadResult& result, const stats::LoadOptions& options) {
  Json::Array layers;
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    layers.push_back(layer_json(i, result.layers[i], result));
  }
  const int n_devices = options.placement.n_devices;
  return Json::object(
      {{"units", Json::object({{"n", result.n_units}, {"grouped", result.grouped}})},
       {"devices", n_devices > 0 ? Json(n_devices) : Json()},
       {"balancedness", result.balancedness},
       {"window", options.window > 0
                      ? Json::object({{"tokens", options.window}, {"n", result.n_windows}})
                      : Json()},
       {"dead_bound", result.dead_bound},
       {"layers", std::move(layers)},
       {"notices", Json::array(result.notices)}});
}

// A number of every layer, averaged; NaN if one has none.
template <typename Number>
double mean_over_layers(const LoadResult& result, Number number) {
  double sum = 0;
  for (const LayerBalance& layer : result.layers) sum += number(layer);
  return sum / static_cast<double>(result.layers.size());
}

std::string units_text(const LoadResult& result, std::size_t n) {
  return counted(static_cast<std::int64_t>(n), result.grouped ? "group" : "prompt");
}

// "uniform routing alone gives 0.05, clusters alone 0.11", as far as they are known.
std::string chance_text(const LoadResult& result) {
  const double uniform = mean_over_layers(result, [](const auto& l) { return l.uniform.mean.cv; });
  const double clusters =
      mean_over_layers(result, [](const auto& l) { return l.clusters.mean.cv; });
  std::string text;
  if (!std::isnan(uniform)) text = "uniform routing alone gives " + fixed(uniform, 3);
  if (!std::isnan(clusters)) {
    text += (text.empty() ? "" : ", ") + std::string("clusters alone ") + fixed(clusters, 3);
  }
  return text;
}

std::string load_text(const LoadResult& result) {
  const double cv = mean_over_layers(result, [](const auto& l) { return l.load.cv; });
  std::string text = fmt::format("load CV {}, mean over {}", fixed(cv, 3),
                                 counted(std::ssize(result.layers), "layer"));
  const std::string chance = chance_text(result);
  if (!chance.empty()) text += "; " + chance;
  std::int64_t n_beyond = 0;
  bool is_known = true;
  for (const LayerBalance& layer : result.layers) {
    is_known = is_known && layer.clusters.n_draws > 0;
    n_beyond += layer.load.cv > layer.clusters.limit95.cv ? 1 : 0;
  }
  if (is_known) {
    text += fmt::format("; {} of {} less even than 19 of 20 draws of clusters alone", n_beyond,
                        result.layers.size());
  }
  return text;
}

std::string dead_text(const LoadResult& result) {
  std::size_t n_dead = 0;
  std::string names;
  constexpr std::size_t n_shown = 12;
  for (std::size_t layer = 0; layer < result.layers.size(); ++layer) {
    for (const int expert : result.layers[layer].dead) {
      if (n_dead++ < n_shown)
        names += fmt::format("{}{}/{}", names.empty() ? "" : ", ", layer, expert);
    }
  }
  if (n_dead == 0) return "dead: no expert, each is selected by some token";
  if (n_dead > n_shown) names += fmt::format(", … and {} more", n_dead - n_shown);
  return fmt::format(
      "dead (layer/expert): {}. Selected by none of {}: so fewer than {}% of such {}s use it (95% "
      "confidence, each by itself)",
      names, units_text(result, result.n_units), fixed(100 * result.dead_bound, 1),
      result.grouped ? "group" : "prompt");
}

// A row of a layer: a metric beside what both nulls give.
void add_metric(const LayerBalance& layer, double LoadMetrics::* field, int n_decimals,
                std::vector<std::string>& cells) {
  for (const LoadMetrics* metrics : {&layer.load, &layer.uniform.mean, &layer.clusters.mean}) {
    cells.push_back(fixed(metrics->*field, n_decimals));
  }
}

report::Table main_table(const LoadResult& result) {
  report::Table table({"layer", "CV", "uniform", "clusters", "max/mean", "uniform", "clusters",
                       "dead", "by chance"},
                      {report::Table::Align::right});
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const LayerBalance& layer = result.layers[i];
    std::vector<std::string> cells = {std::to_string(i)};
    add_metric(layer, &LoadMetrics::cv, 3, cells);
    add_metric(layer, &LoadMetrics::max_over_mean, 2, cells);
    cells.push_back(std::to_string(layer.dead.size()));
    cells.push_back(fixed(layer.expected_dead, 1));
    table.add_row(cells);
  }
  return table;
}

report::Table entropy_table(const LoadResult& result) {
  report::Table table(
      {"layer", "entropy", "exp(H)/E", "uniform", "clusters", "Gini", "uniform", "clusters"},
      {report::Table::Align::right});
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const LayerBalance& layer = result.layers[i];
    std::vector<std::string> cells = {std::to_string(i), fixed(layer.load.entropy, 4)};
    add_metric(layer, &LoadMetrics::effective_share, 3, cells);
    add_metric(layer, &LoadMetrics::gini, 3, cells);
    table.add_row(cells);
  }
  return table;
}

void describe_devices(const LoadResult& result, int n_devices, report::Document& document) {
  if (n_devices == 0) return;
  report::Table table({"layer", "balancedness", "uniform", "clusters"},
                      {report::Table::Align::right});
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    std::vector<std::string> cells = {std::to_string(i)};
    add_metric(result.layers[i], &LoadMetrics::balancedness, 3, cells);
    table.add_row(cells);
  }
  document.table(table, "How evenly devices are loaded");
  document.note(
      fmt::format("balancedness: mean over largest of the selections of {}; of all layers "
                  "together, each waiting for its busiest device, {}",
                  counted(n_devices, "device"), fixed(result.balancedness, 3)));
}

void describe_windows(const LoadResult& result, std::int64_t window, report::Document& document) {
  if (result.n_windows == 0) return;
  report::Table table({"layer", "MaxVio", "largest", "random order", "uniform"},
                      {report::Table::Align::right});
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const stats::WindowLoad& own = result.layers[i].window;
    table.add_row({std::to_string(i), fixed(own.mean, 3), fixed(own.largest, 3),
                   fixed(own.shuffled, 3), fixed(own.uniform, 3)});
  }
  document.table(table, "The load of single batches");
  document.note(
      fmt::format("MaxVio (max/mean − 1) of {} of {} that follow each other, mean and "
                  "largest; random order: batches of the same tokens, mixed as many "
                  "requests at once would be",
                  counted(result.n_windows, "batch", "batches"), counted(window, "token")));
}

void describe_losses(const LoadResult& result, report::Document& document) {
  if (std::isnan(result.layers.front().switch_loss)) return;
  report::Table table({"layer", "Switch loss", "router z loss"}, {report::Table::Align::right});
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    table.add_row({std::to_string(i), fixed(result.layers[i].switch_loss, 4),
                   fixed(result.layers[i].z_loss, 3)});
  }
  document.table(table, "Losses that train routers to be even");
  document.note(
      "Switch loss: E Σ f P, f the share of the selections, P the mean probability: 1 if either is "
      "even; z loss: mean of (ln Σ exp logit)²");
}

report::Document document_of(const LoadResult& result, const stats::LoadOptions& options) {
  report::Document document;
  document.paragraph(fmt::format(
      "{}, {} a layer\n{}", units_text(result, result.n_units),
      std::isnan(result.layers.front().tokens)
          ? grouped_digits(std::llround(result.layers.front().selections)) + " selections"
          : grouped_digits(std::llround(result.layers.front().tokens)) + " tokens",
      load_text(result)));
  document.table(main_table(result), "How evenly each layer uses its experts");
  document.note(
      "CV: standard deviation of the experts' selections over their mean; max/mean less 1 is "
      "MaxVio; uniform: what as many tokens would show if each drew its experts evenly; clusters: "
      "if experts were all popular alike, and prompts differed as much as these do; by chance: "
      "dead under uniform routing");
  document.table(entropy_table(result), "Entropy and Gini coefficient");
  document.note(
      "entropy over ln E, 1 if even; exp(H)/E: share of the experts that, used evenly, would have "
      "it; Gini: 0 if even, (E − 1)/E if one expert has all");
  describe_devices(result, options.placement.n_devices, document);
  describe_windows(result, options.window, document);
  describe_losses(result, document);
  document.paragraph(dead_text(result));
  return document;
}

std::string tsv_of(const LoadResult& result) {
  std::vector<std::string> headings = {"layer", "tokens", "count"};
  for (const ShownMetric& metric : shown_metrics) {
    for (const char* end : {"", "_uniform", "_uniform95", "_clusters", "_clusters95"}) {
      headings.push_back(metric.key + std::string(end));
    }
  }
  for (const char* name : {"dead", "expected_dead", "switch_loss", "router_z_loss", "window_mean",
                           "window_largest", "window_shuffled", "window_uniform"}) {
    headings.emplace_back(name);
  }
  report::Tsv tsv(headings);
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const LayerBalance& own = result.layers[i];
    std::vector<std::string> cells = {std::to_string(i), shortest(own.tokens),
                                      shortest(own.selections)};
    for (const ShownMetric& metric : shown_metrics) {
      for (const LoadMetrics* metrics : {&own.load, &own.uniform.mean, &own.uniform.limit95,
                                         &own.clusters.mean, &own.clusters.limit95}) {
        cells.push_back(shortest(metrics->*metric.field));
      }
    }
    cells.push_back(std::to_string(own.dead.size()));
    for (const double value : {own.expected_dead, own.switch_loss, own.z_loss, own.window.mean,
                               own.window.largest, own.window.shuffled, own.window.uniform}) {
      cells.push_back(shortest(value));
    }
    tsv.add_row(cells);
  }
  return tsv.text();
}

report::Figure figure_of(const LoadResult& result) {
  report::ScatterPlot plot;
  plot.groups = {"load", "clusters alone", "uniform routing"};
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const LayerBalance& own = result.layers[i];
    const std::array<double, 3> values = {own.load.cv, own.clusters.mean.cv, own.uniform.mean.cv};
    // What is measured is drawn last, over what chance gives.
    for (int group = 2; group >= 0; --group) {
      const double value = values[static_cast<std::size_t>(group)];
      if (std::isnan(value)) continue;
      plot.points.push_back({static_cast<double>(i), value, group, fmt::format("layer {}", i)});
    }
  }
  plot.x_title = "layer";
  plot.y_title = "load CV";
  plot.x_key = "layer";
  plot.y_key = "load_cv";
  return {"load", "Load by layer, and what chance gives",
          "The coefficient of variation of the experts' selections at each layer, beside what as "
          "many tokens would show if routing were uniform, and if experts were all popular alike "
          "while prompts differed as much as these do.",
          std::move(plot)};
}

// What routers computed, where that was recorded.
std::optional<stats::RouterOutputs> router_outputs(const AnalysisInput& input) {
  const Side& side = input.side();
  if (!has_router_logits(side.traces)) return {};
  class Visitor : public LogitVisitor {
   public:
    Visitor(stats::RouterOutputAccumulator& outputs, const std::atomic<bool>& stop)
        : outputs_(outputs), stop_(stop) {}
    void on_logits(std::size_t prompt, const RoutingRecord& record,
                   std::span<const float> logits) override {
      if (stop_.load(std::memory_order_relaxed)) throw Error(ErrorKind::interrupted, "interrupted");
      outputs_.add(prompt, record, logits);
    }

   private:
    stats::RouterOutputAccumulator& outputs_;
    const std::atomic<bool>& stop_;
  };
  stats::RouterOutputAccumulator outputs(side.traces.shape, side.traces.prompts.size(),
                                         input.settings.selection);
  Visitor visitor(outputs, *input.stop);
  read_router_logits(side.traces, visitor, input.settings.reading);
  return outputs.finish(side.signatures);
}

stats::ExpertPlacement placement_of(const AnalysisInput& input, const Arguments& arguments) {
  if (!arguments.given("ep-size")) return {};
  const RoutingShape& shape = input.side().traces.shape;
  const auto n_devices = static_cast<int>(arguments.integer("ep-size"));
  if (arguments.given("placement")) {
    return read_placement_file(arguments.text("placement"), shape, n_devices);
  }
  if (n_devices > shape.n_experts) {
    throw Error(ErrorKind::data,
                {"more devices than experts", "--ep-size",
                 fmt::format("at most {}", shape.n_experts), std::to_string(n_devices)});
  }
  return {n_devices, {}};
}

void add_notices(const AnalysisInput& input, LoadResult& result) {
  const Side& side = input.side();
  if (side.traces.shape.top_k == 0) {
    result.notices.emplace_back(
        "how many experts a token selects is not known: no uniform routing to compare with");
  }
  if (has_pool(side.traces)) {
    result.notices.emplace_back(
        "one pool of counts, no prompts: nothing is said of what clusters alone give");
  } else if (result.n_units < stats::min_cluster_units) {
    result.notices.push_back(fmt::format("{}: too few to tell what clusters alone give",
                                         units_text(result, result.n_units)));
  }
}

Section section_of(const AnalysisInput& input, const stats::LoadOptions& options) {
  const std::optional<stats::RouterOutputs> outputs = router_outputs(input);
  const Side& side = input.side();
  LoadResult result = stats::load(side.signatures, side.groups, side.tokens,
                                  outputs ? &*outputs : nullptr, options);
  add_notices(input, result);
  Section section{.json = json_of(result, options),
                  .document = document_of(result, options),
                  .notices = result.notices,
                  .figures = {figure_of(result)}};
  section.files.push_back(text_file("load.tsv", tsv_of(result)));
  const double cv = mean_over_layers(result, [](const auto& l) { return l.load.cv; });
  section.headlines = {{.quantity = "load CV of the experts",
                        .value = fixed(cv, 3),
                        .remark = "mean over layers; " + chance_text(result)}};
  section.page_part = PagePart{.chapter = Chapter::experts, .title = "Load, and what chance gives"};
  section.summary.paragraph("Experts: " + load_text(result) + ".");
  return section;
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  if (input.settings.selection.weighted) {
    throw Error(ErrorKind::data, "load counts selections, not their weights: not with --weighted");
  }
  stats::LoadOptions options;
  options.seed = input.settings.seed;
  options.n_threads = input.settings.n_threads;
  options.stop = input.stop;
  options.placement = placement_of(input, arguments);
  if (arguments.given("window")) options.window = arguments.integer("window");
  if (options.window > 0 && has_counts(input.side().traces)) {
    throw Error(ErrorKind::data,
                {"--window needs single tokens, and this directory has counts, not tokens",
                 input.side().traces.directories.front().string(),
                 {},
                 {}});
  }
  return section_of(input, options);
}

void check(const Arguments& arguments) {
  if (arguments.given("placement") && !arguments.given("ep-size")) {
    throw Error(ErrorKind::usage, "--placement needs --ep-size, the number of devices");
  }
}

}  // namespace

Analysis load_analysis() {
  return {
      .name = "load",
      .summary = "How evenly experts are used, beside what chance alone gives",
      .description =
          "How evenly each layer uses its experts: coefficient of variation, largest over mean "
          "(MaxVio), entropy, Gini coefficient and experts that no token selects, each beside what "
          "uniform routing of as many tokens would show, and what prompts that differ as much as "
          "these would if all experts were equally popular. With --ep-size also how evenly "
          "devices would be loaded (balancedness), with --window MaxVio of single batches, and, "
          "where trace --router-logits recorded them, the Switch and router z losses. Reads "
          "counts as well as tokens; categories are not needed. With -o DIR it writes load.tsv, "
          "the figure load, and report.json.",
      .flags = {{.name = "--ep-size",
                 .type = FlagType::integer,
                 .value_name = "G",
                 .help = "devices that the experts of a layer are spread over (expert parallelism)",
                 .min = 1,
                 .max = max_experts},
                {.name = "--placement",
                 .value_name = "FILE",
                 .help = "JSON with \"physical_to_logical_map\": for each layer the expert in each "
                         "slot, device by device (default: in order, without copies)"},
                {.name = "--window",
                 .type = FlagType::integer,
                 .value_name = "N",
                 .help = "also the MaxVio of batches of N tokens, as training sees them",
                 .min = 1,
                 .max = 1e9},
                group_by_flag()},
      .examples = {{"moexray load traces", "every layer, beside what chance gives"},
                   {"moexray load counts --ep-size 8 --placement eplb.json",
                    "how evenly eight devices would be loaded"},
                   {"moexray load traces --window 4096 --tokens prompt",
                    "the load of single batches of prompt tokens"}},
      .needs = {.tokens = true, .takes_counts = true, .takes_pool = true},
      .in_analyze = InAnalyze{.place = 85},
      .check = check,
      .run = run};
}

}  // namespace moexray::app
