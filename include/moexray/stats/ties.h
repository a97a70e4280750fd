#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace moexray::stats {

/// Sums of thousands of products carry rounding errors of about 1e-15: similarities, and their
/// means, that differ by no more than this are the same.
inline constexpr double similarity_rounding = 1e-12;

/// The same for what is divided by a small spread, as Cohen's d is.
inline constexpr double effect_rounding = 1e-9;

/// True if two numbers are the same but for rounding: |a − b| ≤ tolerance · max(1, |a|, |b|).
inline bool equal_within_rounding(double a, double b, double tolerance) {
  return std::abs(a - b) <= tolerance * std::max({1.0, std::abs(a), std::abs(b)});
}

/// A key that sorts numbers as they are, and numbers equal within rounding as equal ones, so that
/// what is listed first among them does not hang on the last digit: the number in steps of
/// `tolerance`. For numbers of ordinary size (below 1e6).
inline double tie_key(double value, double tolerance) { return std::round(value / tolerance); }

}  // namespace moexray::stats
