#pragma once

#include <vector>

#include "compare_pair.h"
#include "section.h"

namespace moexray::app {

/// How often both choose the same experts for a token: `aligned`, `agreement` and `disagreement` of
/// the JSON, a table, compare.tsv, the figures compare_agreement and compare_ranks.
/// @returns [L]; none where the models have other layers or experts, which a notice says
/// @throws Error (data) if the layers of the two are counted differently
std::vector<stats::LayerAgreement> add_agreement(const ComparedPair& pair, Section& section);

}  // namespace moexray::app
