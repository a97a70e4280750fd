#pragma once

#include <algorithm>
#include <vector>

#include "moexray/stats/permutation_tests.h"

namespace moexray::stats {

/// The relabelling with this number: the same for every test.
std::vector<int> relabelling(const Units& units, const CategoryIndex& categories,
                             std::uint64_t seed, int draw);

/// The rows of every category under these labels: [K].
std::vector<std::vector<Eigen::Index>> rows_by_label(const std::vector<int>& labels,
                                                     std::size_t n_categories);

/// As many draws as asked for, or fewer where a budget of operations does not allow them, but at
/// least `least`. @param cost operations of a draw
inline int affordable_draws(int asked, double budget, double cost, int least) {
  return static_cast<int>(
      std::min<double>(asked, std::max(budget / cost, static_cast<double>(least))));
}

/// (1 + reached) / (1 + draws).
double permutation_p_value(std::int64_t n_reached, int n_draws);

/// Relabellings that give the observed partition again differ from it by rounding alone.
inline bool reaches(double drawn, double observed) {
  return drawn >= observed - 1e-11 * (observed < 0 ? -observed : observed);
}

}  // namespace moexray::stats
