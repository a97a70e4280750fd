#pragma once

#include <vector>

#include "compare_pair.h"
#include "section.h"

namespace moexray::app {

/// How often both choose the same experts for a token: `agreement` and `disagreement` of the JSON,
/// a table, compare.tsv, the figures compare_agreement, compare_ranks and compare_gained.
/// @returns [L]
/// @throws Error (data) unless tokens are aligned and layers and experts the same
std::vector<stats::LayerAgreement> add_agreement(const ComparedPair& pair, Section& section);

/// {"estimate", "ci95"}.
report::Json clustered_json(const stats::ClusteredEstimate& estimate);

}  // namespace moexray::app
