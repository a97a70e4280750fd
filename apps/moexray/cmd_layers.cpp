#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "analysis.h"
#include "compared_text.h"
#include "interval_text.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/layer_inference.h"
#include "moexray/stats/layers.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::LayerInference;
using stats::LayerSeparation;
using stats::LayersResult;

// Everything that is known about one layer.
struct Layer {
  const LayerSeparation& separation;
  stats::LayerTest test = {};
  stats::IntervalEstimate interval = {};
};

Layer layer_of(const LayersResult& result, const LayerInference& inference, std::size_t i) {
  Layer layer{result.layers[i]};
  if (!inference.tests.empty()) layer.test = inference.tests[i];
  if (!inference.intervals.empty()) layer.interval = inference.intervals[i];
  return layer;
}

Json json_of(const LayersResult& result, const LayerInference& inference,
             const stats::ComparedPrompts& compared) {
  Json::Array layers;
  double limit95 = stats::undefined;
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const Layer layer = layer_of(result, inference, i);
    const LayerSeparation& separation = layer.separation;
    limit95 = layer.test.limit95;
    layers.push_back(
        Json::object({{"layer", i},
                      {"within_mean", separation.within.mean},
                      {"within_std", separation.within.std},
                      {"across_mean", separation.across.mean},
                      {"across_std", separation.across.std},
                      {"cohens_d", separation.cohens_d},
                      {"ci95", interval_json({layer.interval.low, layer.interval.high})},
                      {"tested_d", layer.test.cohens_d},
                      {"p_adjusted", layer.test.p_adjusted},
                      {"uniform_within", separation.uniform.within},
                      {"uniform_across", separation.uniform.across}}));
  }
  Json json = Json::object({{"layers", std::move(layers)}});
  Json peak;
  if (result.peak_layer >= 0) peak = Json(result.peak_layer);
  json.set("peak_layer", std::move(peak));
  json.set("peak_layers", Json::array(result.peak_layers));
  json.set("null95", Json(limit95));
  json.set("permutations", Json(inference.n_permutations));
  json.set("resamples", Json(inference.n_resamples));
  json.set("notices", Json::array(result.notices));
  add_compared(compared, json);
  return json;
}

// The adjusted p of the layer with the largest d; NaN without one.
double peak_p(const LayersResult& result, const LayerInference& inference) {
  if (result.peak_layer < 0 || inference.tests.empty()) return stats::undefined;
  return inference.tests[static_cast<std::size_t>(result.peak_layer)].p_adjusted;
}

bool is_supported(double p_value) { return p_value <= 0.05; }

std::string peak_text(const LayersResult& result, const LayerInference& inference,
                      const stats::ComparedPrompts& compared) {
  if (result.peak_layer < 0) return "no peak layer: Cohen's d is undefined";
  const double d = result.layers[static_cast<std::size_t>(result.peak_layer)].cohens_d;
  const double p = peak_p(result, inference);
  std::string equals;
  for (std::size_t i = 1; i < result.peak_layers.size(); ++i) {
    equals += (i == 1 ? ", as at " : ", ") + std::to_string(result.peak_layers[i]);
  }
  const std::string where = fmt::format("layer {} (layers count from 0), Cohen's d {}{}",
                                        result.peak_layer, fixed(d, 2), equals);
  if (std::isnan(p)) return "largest: " + where + "; not tested: " + inference.tests_left_out;
  const std::string adjusted = "adjusted p = " + p_text(p, inference.n_permutations);
  if (is_supported(p)) return "peak: " + where + ", " + adjusted;
  return "no peak: the largest d is at " + where + ", but " + tested_text(compared) +
         " it is within what relabelled prompts reach, " + adjusted;
}

report::Document document_of(const LayersResult& result, const LayerInference& inference,
                             const stats::ComparedPrompts& compared) {
  report::Table table({"layer", "within", "uniform", "across", "uniform", "Cohen's d",
                       "95% interval", "adjusted p"},
                      {report::Table::Align::right});
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const Layer layer = layer_of(result, inference, i);
    const LayerSeparation& separation = layer.separation;
    table.add_row({std::to_string(i), fixed(separation.within.mean, 4),
                   fixed(separation.uniform.within, 4), fixed(separation.across.mean, 4),
                   fixed(separation.uniform.across, 4), fixed(separation.cohens_d, 2),
                   interval_text({layer.interval.low, layer.interval.high}, 2),
                   p_text(layer.test.p_adjusted, inference.n_permutations)});
  }
  report::Document document;
  document.table(std::move(table));
  document.note(peak_text(result, inference, compared));
  document.note("uniform: what uniform routing of as many tokens would give the same pairs");
  std::string note = "adjusted p: " + tested_text(compared);
  if (!inference.tests.empty()) {
    note += fmt::format(", of all layers together (max-T on |d|, {} relabellings)",
                        inference.n_permutations);
  }
  if (inference.intervals_left_out.empty()) {
    note += fmt::format("; intervals: studentised bootstrap, {} resamples", inference.n_resamples);
  } else {
    note += "; no intervals: " + inference.intervals_left_out;
  }
  document.note(note);
  return document;
}

std::string tsv_of(const LayersResult& result) {
  report::Tsv tsv({"layer", "within_mean", "within_std", "across_mean", "across_std", "cohens_d",
                   "uniform_within", "uniform_across"});
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const LayerSeparation& layer = result.layers[i];
    tsv.add_row({std::to_string(i), shortest(layer.within.mean), shortest(layer.within.std),
                 shortest(layer.across.mean), shortest(layer.across.std), shortest(layer.cohens_d),
                 shortest(layer.uniform.within), shortest(layer.uniform.across)});
  }
  return tsv.text();
}

// What the figure does not point out, and why.
std::string unmarked_text(double p_value, const LayerInference& inference) {
  if (std::isnan(p_value))
    return "No layer is marked: not tested, " + inference.tests_left_out + ".";
  const bool any = std::any_of(inference.tests.begin(), inference.tests.end(),
                               [](const auto& test) { return is_supported(test.p_adjusted); });
  return any ? "The layer with the largest d is not marked: its adjusted p is above 0.05."
             : "No layer is marked: none separates the categories more than relabelled prompts do "
               "(all adjusted p > 0.05).";
}

report::Figure figure_of(const LayersResult& result, const LayerInference& inference,
                         const stats::ComparedPrompts& compared) {
  report::LineChart chart;
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const Layer layer = layer_of(result, inference, i);
    chart.values.push_back(layer.separation.cohens_d);
    chart.lows.push_back(layer.interval.low);
    chart.highs.push_back(layer.interval.high);
    chart.null_limit = layer.test.limit95;
    if (!inference.tests.empty()) chart.tested.push_back(layer.test.cohens_d);
  }
  chart.x_title = "MoE layer (counted from 0)";
  chart.value_title = "Cohen's d, within − across";
  chart.interval_title = "95% interval (bootstrap of prompts)";
  chart.tested_title = "tested: " + compared.positions.text();
  chart.null_title = "95% of relabelled prompts there";
  chart.x_key = "layer";
  chart.value_key = "cohens_d";
  const double p = peak_p(result, inference);
  report::Figure figure{
      "fig3_layers",
      "Separation of categories by layer",
      "Cohen's d between the similarities within and across categories, from each layer's "
      "routing alone. Layers count from 0.",
      {}};
  if (!inference.tests.empty()) {
    figure.caption +=
        " Dots: all tokens. Dashed: the first tokens that prompts have in common, which are what "
        "is "
        "tested, since lengths alone can separate categories over all tokens. The grey band is "
        "what the largest |d| of all layers stays within there for 95% of random relabellings of "
        "the prompts.";
  }
  if (is_supported(p)) {
    chart.marked = result.peak_layer;
    chart.mark_label = fmt::format("peak: layer {}, adjusted p = {}", result.peak_layer,
                                   p_text(p, inference.n_permutations));
    figure.caption += fmt::format(" Ringed: layer {}, where d is largest.", result.peak_layer);
  } else if (!result.layers.empty()) {
    figure.note = unmarked_text(p, inference);
    figure.caption += " " + figure.note;
  }
  figure.chart = std::move(chart);
  return figure;
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  const LayersResult result = stats::layer_separation(input.side().signatures);
  LayerInference inference =
      stats::infer_layers(input.side().signatures, input.side().compared, input.side().groups,
                          {.n_permutations = static_cast<int>(arguments.integer("permutations")),
                           .n_resamples = static_cast<int>(arguments.integer("resamples")),
                           .seed = input.settings.seed,
                           .n_threads = input.settings.n_threads,
                           .stop = input.stop});
  Section section{.json = json_of(result, inference, input.side().compared),
                  .document = document_of(result, inference, input.side().compared),
                  .notices = result.notices};
  section.files.push_back(text_file("layers.tsv", tsv_of(result)));
  section.figures.push_back(figure_of(result, inference, input.side().compared));
  section.results.layers = kept(result);
  return section;
}

std::vector<Flag> flags() {
  return {{.name = "--permutations",
           .type = FlagType::integer,
           .value_name = "N",
           .default_value = "9999",
           .help = "relabellings of the prompts for the adjusted p-values",
           .min = 1,
           .max = 10'000'000},
          {.name = "--resamples",
           .type = FlagType::integer,
           .value_name = "N",
           .default_value = "999",
           .help = "resamples of the bootstrap for the intervals",
           .min = 1,
           .max = 1'000'000},
          common_tokens_flag(),
          group_by_flag()};
}

}  // namespace

Analysis layers_analysis() {
  return {
      .name = "layers",
      .summary = "How well each layer separates the categories",
      .description =
          "Similarity within and across categories, beside what uniform routing of as many tokens "
          "would give, and Cohen's d at each MoE layer, from that "
          "layer's cosine alone, with a bootstrap interval and a p-value adjusted for all layers, "
          "and the layer where d is largest, if that is more than chance gives. Layers count from "
          "0. Many prompts get fewer relabellings, and no intervals. With "
          "-o DIR it writes layers.tsv, the figure fig3_layers and report.json.",
      .flags = flags(),
      .examples = {{"moexray layers traces", "the table"},
                   {"moexray layers traces --exclude-template --json layers.json",
                    "without the chat template's tokens; the results as JSON"}},
      // With the draws that `stats` has there.
      .needs = {.tokens = true, .takes_counts = true},
      .in_analyze = InAnalyze{.place = 40},
      .run = run};
}

}  // namespace moexray::app
