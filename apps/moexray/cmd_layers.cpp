#include <fmt/core.h>

#include "commands.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/layers.h"
#include "sections.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::LayerSeparation;
using stats::LayersResult;

Json json_of(const LayersResult& result) {
  Json::Array layers;
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const LayerSeparation& layer = result.layers[i];
    layers.push_back(Json::object({{"layer", i},
                                   {"within_mean", layer.within.mean},
                                   {"within_std", layer.within.std},
                                   {"across_mean", layer.across.mean},
                                   {"across_std", layer.across.std},
                                   {"cohens_d", layer.cohens_d},
                                   {"uniform_within", layer.uniform.within},
                                   {"uniform_across", layer.uniform.across}}));
  }
  Json peak;
  if (result.peak_layer >= 0) peak = result.peak_layer;
  return Json::object({{"layers", std::move(layers)},
                       {"peak_layer", std::move(peak)},
                       {"notices", Json::array(result.notices)}});
}

std::string peak_text(const LayersResult& result) {
  if (result.peak_layer < 0) return "no peak layer: Cohen's d is undefined";
  const double d = result.layers[static_cast<std::size_t>(result.peak_layer)].cohens_d;
  return fmt::format("peak: layer {} (layers count from 0), Cohen's d {}", result.peak_layer,
                     fixed(d, 2));
}

report::Document document_of(const LayersResult& result) {
  report::Table table({"layer", "within", "uniform", "across", "uniform", "Cohen's d"},
                      {report::Table::Align::right});
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    const LayerSeparation& layer = result.layers[i];
    table.add_row({std::to_string(i), fixed(layer.within.mean, 4), fixed(layer.uniform.within, 4),
                   fixed(layer.across.mean, 4), fixed(layer.uniform.across, 4),
                   fixed(layer.cohens_d, 2)});
  }
  report::Document document;
  document.table(std::move(table));
  document.note(peak_text(result));
  document.note("uniform: what uniform routing of as many tokens would give the same pairs");
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

report::Figure figure_of(const LayersResult& result) {
  report::LineChart chart;
  for (const LayerSeparation& layer : result.layers) chart.values.push_back(layer.cohens_d);
  chart.x_title = "MoE layer (counted from 0)";
  chart.value_title = "Cohen's d, within − across";
  chart.marked = result.peak_layer;
  if (result.peak_layer >= 0) chart.mark_label = fmt::format("layer {}", result.peak_layer);
  return {"fig3_layers", "Separation of categories by layer",
          "Cohen's d between the similarities within and across categories, from each layer's "
          "routing alone. Layers count from 0.",
          std::move(chart)};
}

void run(const Arguments& arguments, Console& console) {
  run_analysis({"layers", {layers_section}}, arguments, console);
}

}  // namespace

Section layers_section(const AnalysisInput& input, const Arguments&) {
  const LayersResult result = stats::layer_separation(input.signatures);
  Section section{"layers", json_of(result), document_of(result), {}, result.notices};
  section.files.push_back(text_file("layers.tsv", tsv_of(result)));
  section.figures.push_back(figure_of(result));
  section.results.layers = kept(result);
  return section;
}

Command layers_command() {
  return {
      .name = "layers",
      .summary = "How well each layer separates the categories",
      .description =
          "Similarity within and across categories, beside what uniform routing of as many tokens "
          "would give, and Cohen's d at each MoE layer, from that "
          "layer's cosine alone, and the layer where d is largest. Layers count from 0. With "
          "-o DIR it writes layers.tsv, the figure fig3_layers and report.json.",
      .positionals = trace_positionals(),
      .flags = with_analysis_flags({}),
      .examples = {{"moexray layers traces", "the table"},
                   {"moexray layers traces --exclude-template --json layers.json",
                    "without the chat template's tokens; the results as JSON"}},
      .run = run};
}

}  // namespace moexray::app
