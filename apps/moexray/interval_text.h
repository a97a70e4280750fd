#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>

#include "moexray/report/json.h"
#include "moexray/report/number.h"

namespace moexray::app {

/// An interval as [low, high], or null if it is undefined.
inline report::Json interval_json(const std::array<double, 2>& interval) {
  return std::isnan(interval[0]) ? report::Json() : report::Json::array(interval);
}

/// "0.895–0.987", or "n/a"; a sign needs more room: "-0.012 to 0.034".
inline std::string interval_text(const std::array<double, 2>& interval, int n_decimals) {
  if (std::isnan(interval[0])) return "n/a";
  return report::fixed(interval[0], n_decimals) + (interval[0] < 0 ? " to " : "–") +
         report::fixed(interval[1], n_decimals);
}

/// A p-value with as many decimals as that many permutations give.
inline std::string p_text(double p_value, std::int64_t n_permutations) {
  const double n_decimals = std::ceil(std::log10(static_cast<double>(n_permutations) + 1));
  return report::fixed(p_value, std::max(static_cast<int>(n_decimals), 2));
}

}  // namespace moexray::app
