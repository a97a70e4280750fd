#include "load_output.h"

#include <fmt/core.h>

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"

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
  Json json = Json::object({{"layer", layer}, {"n_tokens", own.tokens}, {"count", own.selections}});
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

// A number of every layer, averaged; NaN if one has none.
template <typename Number>
double mean_over_layers(const LoadResult& result, Number number) {
  double sum = 0;
  for (const LayerBalance& layer : result.layers) sum += number(layer);
  return sum / static_cast<double>(result.layers.size());
}

std::string load_text(const LoadResult& result) {
  const double cv = mean_over_layers(result, [](const auto& l) { return l.load.cv; });
  std::string text = fmt::format("load CV {}, mean over {}", fixed(cv, 3),
                                 counted(std::ssize(result.layers), "layer"));
  text += chance_text(result);
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
  if (std::isnan(result.dead_bound)) return "dead (layer/expert): " + names;
  return fmt::format(
      "dead (layer/expert): {}. Selected by none of {}: so fewer than {}% of such {}s use it (95% "
      "confidence, each by itself)",
      names, units_text(result), fixed(100 * result.dead_bound, 1),
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

// "4,368 tokens", or selections where k is not known.
std::string amount_text(const LayerBalance& layer) {
  const bool is_known = !std::isnan(layer.tokens);
  const std::int64_t n = std::llround(is_known ? layer.tokens : layer.selections);
  return grouped_digits(n) + " " + noun_for(n, is_known ? "token" : "selection");
}

}  // namespace

std::string units_text(const LoadResult& result) {
  if (result.n_units == 0) return "one pool of counts";
  return counted(static_cast<std::int64_t>(result.n_units), result.grouped ? "group" : "prompt");
}

double mean_load_cv(const LoadResult& result) {
  return mean_over_layers(result, [](const LayerBalance& layer) { return layer.load.cv; });
}

std::string chance_text(const LoadResult& result) {
  const double uniform = mean_over_layers(result, [](const auto& l) { return l.uniform.mean.cv; });
  const double clusters =
      mean_over_layers(result, [](const auto& l) { return l.clusters.mean.cv; });
  std::string text;
  if (!std::isnan(uniform)) text = "; uniform routing alone gives " + fixed(uniform, 3);
  if (!std::isnan(clusters)) text += "; clusters alone give " + fixed(clusters, 3);
  return text;
}

Json json_of(const LoadResult& result, const stats::LoadOptions& options) {
  Json::Array layers;
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    layers.push_back(layer_json(i, result.layers[i], result));
  }
  const int n_devices = options.placement.n_devices;
  return Json::object(
      {{"units", Json::object({{"n", result.n_units > 0 ? Json(result.n_units) : Json()},
                               {"grouped", result.grouped}})},
       {"devices", n_devices > 0 ? Json(n_devices) : Json()},
       {"balancedness", result.balancedness},
       {"window", options.window > 0
                      ? Json::object({{"tokens", options.window}, {"n", result.n_windows}})
                      : Json()},
       {"dead_bound", result.dead_bound},
       {"layers", std::move(layers)},
       {"notices", Json::array(result.notices)}});
}

report::Document document_of(const LoadResult& result, const stats::LoadOptions& options) {
  report::Document document;
  document.paragraph(fmt::format("{}, {} a layer\n{}", units_text(result),
                                 amount_text(result.layers.front()), load_text(result)));
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
  std::vector<std::string> headings = {"layer", "n_tokens", "count"};
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
  return {"load_by_layer", "Load by layer, and what chance gives",
          "The coefficient of variation of the experts' selections at each layer, beside what as "
          "many tokens would show if routing were uniform, and if experts were all popular alike "
          "while prompts differed as much as these do.",
          std::move(plot)};
}

}  // namespace moexray::app
