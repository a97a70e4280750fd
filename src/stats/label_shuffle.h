#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>

#include "moexray/stats/baselines.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

/// Permutes the categories over the prompts: how often is the gap (mean within − mean across) at
/// least the observed one?
///
/// Similarities are not recomputed. The number of pairs of each kind stays, so the gap grows with
/// Σ_c ‖Σ_{i∈c} x_i‖² alone, for which a shuffle adds up rows: n·min(n, D) additions, in column
/// panels that stay in the cache.
/// @param blocks [n, D] from unit_blocks.
/// @param ids [n] shuffles depend on them and not on the order of the prompts.
LabelShuffle shuffle_labels(const Matrix& blocks, const CategoryIndex& categories,
                            std::span<const std::string> ids, const BaselineOptions& options);

}  // namespace moexray::stats
