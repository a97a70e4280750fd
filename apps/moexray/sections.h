#pragma once

#include <vector>

#include "analysis.h"

namespace moexray::app {

// What several commands share.

/// What `experts` says of experts and categories.
stats::ExpertCategoriesResult expert_categories_result(const AnalysisInput& input,
                                                       const Arguments& arguments);

/// The flags of `experts`.
std::vector<Flag> experts_flags();

/// labels.tsv: row, id, category, n_tokens of every row of the matrices.
OutputFile labels_file(const Side& side);

}  // namespace moexray::app
