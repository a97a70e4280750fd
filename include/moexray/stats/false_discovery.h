#pragma once

#include <span>
#include <vector>

namespace moexray::stats {

/// Benjamini–Hochberg q-values (1995, step-up): q of the i-th smallest of m p-values is
/// min_{j ≥ i} m·p_(j)/j, at most 1. Ties get the same value. NaN stays NaN and is not counted.
std::vector<double> benjamini_hochberg(std::span<const double> p_values);

}  // namespace moexray::stats
