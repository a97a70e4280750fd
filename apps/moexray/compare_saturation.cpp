#include "compare_saturation.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "compare_agreement.h"
#include "interval_text.h"
#include "moexray/core/escape.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::ClusteredEstimate;
using stats::LayerAgreement;

constexpr auto prompt_level = static_cast<std::size_t>(stats::ChanceLevel::same_prompt);
constexpr double half_way = 0.5;

const ClusteredEstimate& prompt_kappa(const LayerAgreement& layer) {
  return layer.chance[prompt_level].kappa;
}

// Where every token agrees there is no interval, and nothing left to come.
bool is_saturated(const LayerAgreement& layer) {
  return prompt_kappa(layer).ci95[0] >= half_way || layer.overlap.estimate == 1;
}

std::size_t n_layers_of(std::span<const SeriesStep> steps) {
  for (const SeriesStep& step : steps) {
    if (!step.layers.empty()) return step.layers.size();
  }
  return 0;
}

// [L] the first step from which on a layer is saturated by itself; −1: none.
std::vector<int> saturated_at(std::span<const SeriesStep> steps) {
  std::vector<int> result(n_layers_of(steps), -1);
  for (std::size_t layer = 0; layer < result.size(); ++layer) {
    for (std::size_t s = 0; s < steps.size() && result[layer] < 0; ++s) {
      if (!steps[s].layers.empty() && is_saturated(steps[s].layers[layer])) {
        result[layer] = static_cast<int>(s);
      }
    }
  }
  return result;
}

Json step_json(const SeriesStep& step) {
  Json::Array layers;
  for (std::size_t i = 0; i < step.layers.size(); ++i) {
    Json kappa = Json::object({});
    for (std::size_t level = 0; level < stats::chance_levels.size(); ++level) {
      kappa.set(stats::name_of(stats::chance_levels[level]),
                clustered_json(step.layers[i].chance[level].kappa));
    }
    layers.push_back(Json::object({{"layer", i},
                                   {"overlap", clustered_json(step.layers[i].overlap)},
                                   {"kappa", std::move(kappa)}}));
  }
  return Json::object({{"step", step.name}, {"layers", Json(std::move(layers))}});
}

std::string step_name(std::span<const SeriesStep> steps, int step) {
  return step < 0 ? "none" : printable(steps[static_cast<std::size_t>(step)].name, 40);
}

report::Table saturation_table(std::span<const SeriesStep> steps, const std::vector<int>& first) {
  std::vector<std::string> headings = {"layer"};
  for (const SeriesStep& step : steps) headings.push_back(printable(step.name, 40));
  headings.emplace_back("first with κ ≥ 0.5");
  report::Table table(headings);
  for (std::size_t layer = 0; layer < first.size(); ++layer) {
    std::vector<std::string> cells = {std::to_string(layer)};
    for (const SeriesStep& step : steps) {
      cells.push_back(step.layers.empty() ? "n/a"
                                          : fixed(prompt_kappa(step.layers[layer]).estimate, 3));
    }
    cells.push_back(step_name(steps, first[layer]));
    table.add_row(cells);
  }
  table.whole_in("compare_series.tsv (with -o DIR)");
  return table;
}

std::string saturation_tsv(std::span<const SeriesStep> steps) {
  report::Tsv tsv({"step", "layer", "overlap", "ci95_low", "ci95_high", "chance_same_prompt",
                   "kappa_same_prompt", "kappa_low_same_prompt", "kappa_high_same_prompt"});
  for (const SeriesStep& step : steps) {
    for (std::size_t i = 0; i < step.layers.size(); ++i) {
      const LayerAgreement& own = step.layers[i];
      const ClusteredEstimate& kappa = prompt_kappa(own);
      std::vector<std::string> cells = {step.name, std::to_string(i)};
      for (const double value :
           {own.overlap.estimate, own.overlap.ci95[0], own.overlap.ci95[1],
            own.chance[prompt_level].chance, kappa.estimate, kappa.ci95[0], kappa.ci95[1]}) {
        cells.push_back(shortest(value));
      }
      tsv.add_row(cells);
    }
  }
  return tsv.text();
}

// First and last layer and two between, and what chance gives on the mean of all.
report::Figure curve_figure(std::span<const SeriesStep> steps) {
  const std::size_t n_layers = n_layers_of(steps);
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < 4; ++i) shown.push_back(i * (n_layers - 1) / 3);
  shown.erase(std::unique(shown.begin(), shown.end()), shown.end());
  report::ScatterPlot plot;
  for (const std::size_t layer : shown) plot.groups.push_back(fmt::format("layer {}", layer));
  plot.groups.emplace_back("chance: same prompt, all layers");
  for (std::size_t s = 0; s < steps.size(); ++s) {
    const SeriesStep& step = steps[s];
    if (step.layers.empty()) continue;
    const auto add = [&](double value, std::size_t group) {
      plot.points.push_back(
          {static_cast<double>(s + 1), value, static_cast<int>(group), step.name});
    };
    double chance = 0;
    for (const LayerAgreement& layer : step.layers) {
      chance += layer.chance[prompt_level].chance / static_cast<double>(n_layers);
    }
    if (!std::isnan(chance)) add(chance, shown.size());
    for (std::size_t g = 0; g < shown.size(); ++g) add(step.layers[shown[g]].overlap.estimate, g);
  }
  plot.x_title = "step of the series";
  plot.y_title = "share of experts in common with the first routing";
  plot.x_key = "step";
  plot.y_key = "overlap";
  return {"compare_saturation", "Agreement along the series",
          "How many of a token's experts each step of the series has in common with the first "
          "routing, and what chance would give with the prompt held fixed.",
          std::move(plot)};
}

report::Figure layers_figure(std::span<const SeriesStep> steps) {
  const std::size_t n_layers = n_layers_of(steps);
  report::Heatmap map;
  for (const SeriesStep& step : steps) map.column_labels.push_back(step.name);
  for (std::size_t layer = 0; layer < n_layers; ++layer) {
    map.row_labels.push_back(std::to_string(layer));
    for (const SeriesStep& step : steps) {
      map.values.push_back(step.layers.empty() ? NAN : prompt_kappa(step.layers[layer]).estimate);
    }
  }
  map.row_title = "layer";
  map.column_title = "step";
  map.value_title = "κ beyond the prompt";
  map.show_values = true;
  map.scale.low = 0;
  map.scale.high = 1;
  map.scale.reference = {half_way, "half way"};
  map.row_key = "layer";
  map.column_key = "step";
  map.value_key = "kappa";
  return {
      "compare_saturation_layers", "Saturation by layer",
      "κ = (agreement − chance) / (1 − chance) of each step with the first routing, chance being "
      "what another token of the prompt would give: 1 is the first routing itself.",
      std::move(map)};
}

}  // namespace

void add_saturation(std::span<const SeriesStep> steps, Section& section) {
  const auto n = std::count_if(steps.begin(), steps.end(),
                               [](const SeriesStep& step) { return !step.layers.empty(); });
  if (n < 2) return;
  Json::Array json;
  for (const SeriesStep& step : steps) json.push_back(step_json(step));
  section.json.set("saturation", Json(std::move(json)));
  const std::vector<int> first = saturated_at(steps);
  Json::Array names;
  for (const int step : first) {
    names.push_back(step < 0 ? Json() : Json(steps[static_cast<std::size_t>(step)].name));
  }
  section.json.set("saturated_at", Json(std::move(names)));
  section.document.table(saturation_table(steps, first),
                         "κ of each step with the first routing, beyond the prompt");
  section.document.note(
      "κ = (agreement − chance) / (1 − chance), chance: another token of the prompt; the last "
      "column "
      "names the first step whose 95% interval lies at or above 0.5");
  section.files.push_back(text_file("compare_series.tsv", saturation_tsv(steps)));
  section.figures.push_back(curve_figure(steps));
  section.figures.push_back(layers_figure(steps));
}

}  // namespace moexray::app
