#pragma once

#include <span>
#include <string>
#include <vector>

#include "moexray/stats/agreement.h"
#include "section.h"

namespace moexray::app {

/// A routing of a series (a checkpoint on the way to the first side, say), in the order given.
struct SeriesStep {
  std::string name;
  std::vector<stats::LayerAgreement> layers;  ///< [L] agreement with the first side; none: left out
};

/// How agreement with the first side grows along the series: `saturation` and `saturated_at` of the
/// JSON, a table, compare_series.tsv, the figures compare_saturation and
/// compare_saturation_layers. Nothing for fewer than two steps with agreement.
void add_saturation(std::span<const SeriesStep> steps, Section& section);

}  // namespace moexray::app
