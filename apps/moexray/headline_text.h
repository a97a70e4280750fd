#pragma once

#include <fmt/core.h>

#include <array>
#include <cmath>
#include <string>

#include "moexray/report/number.h"
#include "moexray/stats/bootstrap.h"

namespace moexray::app {

// The texts of a Headline.

/// "0.012", or "n/a": two digits are what permutations support at best.
inline std::string short_p_text(double p) {
  return std::isfinite(p) ? fmt::format("{:.2g}", p) : "n/a";
}

/// "0.843 to 0.912", empty without an interval.
inline std::string ends_text(const std::array<double, 2>& ends, int n_decimals) {
  if (std::isnan(ends[0])) return {};
  return report::fixed(ends[0], n_decimals) + " to " + report::fixed(ends[1], n_decimals);
}

inline std::string ends_text(const stats::IntervalEstimate& estimate, int n_decimals) {
  if (!estimate.has_interval()) return {};
  return ends_text(std::array{estimate.low, estimate.high}, n_decimals);
}

/// "0.843 ± 0.088", without the spread where it is undefined.
inline std::string with_spread(double mean, double std, int n_decimals) {
  return report::fixed(mean, n_decimals) +
         (std::isfinite(std) ? " ± " + report::fixed(std, n_decimals) : "");
}

}  // namespace moexray::app
