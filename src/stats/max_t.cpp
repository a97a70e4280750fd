#include "max_t.h"

#include <algorithm>
#include <cmath>

#include "moexray/stats/false_discovery.h"
#include "moexray/stats/matrix.h"
#include "relabelling.h"

namespace moexray::stats {

std::size_t PooledHistogram::bin(double t) {
  // Off the multiples, so that round values do not fall to either side by their last bit.
  const double scaled = std::abs(t) * 1024 + 0.381966;
  return scaled < n_bins - 1 ? static_cast<std::size_t>(scaled) : n_bins - 1;
}

void PooledHistogram::add(const PooledHistogram& other) {
  for (std::size_t i = 0; i < n_bins; ++i) counts_[i] += other.counts_[i];
}

std::vector<std::uint64_t> PooledHistogram::reached() const {
  std::vector<std::uint64_t> result = counts_;
  for (std::size_t i = n_bins - 1; i > 0; --i) result[i - 1] += result[i];
  return result;
}

MaxTValues max_t(std::span<const double> t, MaxTNull null) {
  std::size_t n_tests = 0;
  for (const double value : t) {
    if (std::isnan(value)) continue;
    ++n_tests;
    if (!null.exact) null.pooled.add(value);
  }
  const std::size_t n_draws = null.largest.size();
  const double n_pooled =
      static_cast<double>(n_tests) * static_cast<double>(null.exact ? n_draws : n_draws + 1);
  std::sort(null.largest.begin(), null.largest.end());
  const std::vector<std::uint64_t> reached = null.pooled.reached();
  MaxTValues values;
  for (const double value : t) {
    if (std::isnan(value) || n_draws == 0) {
      values.p_value.push_back(undefined);
      values.p_adjusted.push_back(undefined);
      continue;
    }
    const double size = std::abs(value);
    values.p_value.push_back(static_cast<double>(reached[PooledHistogram::bin(size)]) / n_pooled);
    const auto first = std::partition_point(null.largest.begin(), null.largest.end(),
                                            [&](double drawn) { return !reaches(drawn, size); });
    const auto n_reached = null.largest.end() - first;
    values.p_adjusted.push_back(null.exact
                                    ? static_cast<double>(n_reached) / static_cast<double>(n_draws)
                                    : permutation_p_value(n_reached, static_cast<int>(n_draws)));
  }
  values.q_value = benjamini_hochberg(values.p_value);
  return values;
}

}  // namespace moexray::stats
