#pragma once

#include "moexray/stats/matrix.h"

namespace moexray::stats {

/// What projections start from: the rows minus their mean, and, to standardise, divided by the
/// population standard deviation of each column (0 for a constant one).
///
/// Rows that differ by no more than rounding errors (1e-14 of their size) become exactly 0.
/// @param rows [n, D] @return [n, D]
/// @throws Error (data) without rows or features, or if a value is not finite.
Matrix centred_features(const Matrix& rows, bool standardize);

}  // namespace moexray::stats
