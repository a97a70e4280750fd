#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "moexray/stats/matrix.h"

namespace moexray::stats {

/// What one unit (a prompt, or a group of prompts) adds to a rate.
struct UnitCount {
  double count = 0;   ///< A: tokens that select the expert
  double tokens = 0;  ///< T: all its tokens
};

/// Sums over units that a rate and its variance are computed from.
struct RateSums {
  double n = 0;  ///< units with a token
  double count = 0;
  double tokens = 0;
  double count_squares = 0;
  double token_squares = 0;
  double products = 0;  ///< Σ A·T

  void add(const UnitCount& unit);
  RateSums& operator+=(const RateSums& other);
  RateSums& operator-=(const RateSums& other);
};

/// The rate of a set of units: the ratio estimator (Cochran, Sampling Techniques, 1977, chapter 6),
/// whose variance is that between units. Tokens of one unit are not independent.
struct ClusteredRate {
  double estimate = undefined;  ///< π = Σ A / Σ T, weighting every token the same
  /// V = n/(n − 1) · Σ (A − T π)² / (Σ T)²; undefined for one unit.
  double variance = undefined;
  /// V over what it would be if tokens were independent, π (1 − π) / Σ T; undefined for a rate of 0
  /// or 1.
  double design_effect = undefined;
  std::int64_t n_units = 0;
};

ClusteredRate clustered_rate(const RateSums& sums);
ClusteredRate clustered_rate(std::span<const UnitCount> units);

/// The 95% interval of a rate, with Student's t of n − 1 degrees of freedom on the logit scale (so
/// that it lies within 0 and 1). Undefined for one unit, and where no token or every token selects
/// the expert: units that are all alike say nothing about how much others differ.
std::array<double, 2> rate_interval(const ClusteredRate& rate);
/// The same with a quantile that is known.
std::array<double, 2> rate_interval(const ClusteredRate& rate, double quantile);

/// Two sets of units compared.
struct RateContrast {
  double difference = undefined;  ///< π₁ − π₂
  /// (π₁ − π₂) / √(V₁ + V₂); 0 where rates are equal, infinite where they differ without any
  /// variance, undefined where a variance is.
  double t = undefined;
  double degrees_of_freedom = undefined;  ///< n₁ + n₂ − 2
};

/// Independent sets: no unit in both.
RateContrast independent_contrast(const ClusteredRate& first, const ClusteredRate& second);

/// The same units twice: t of the differences of their own rates, which weight every unit the same,
/// with n − 1 degrees of freedom.
/// @param first [n]
/// @param second [n]; pairs of which one has no token are left out
/// @throws Error (runtime) if the numbers differ
RateContrast paired_contrast(std::span<const UnitCount> first, std::span<const UnitCount> second);

/// The p-quantile of Student's t, 0 < p < 1.
double student_t_quantile(double p, double degrees_of_freedom);

}  // namespace moexray::stats
