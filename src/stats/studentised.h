#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moexray/stats/bootstrap.h"
#include "moexray/stats/units.h"

namespace moexray::stats {

/// Groups of units that are drawn among themselves: those of each category, and those of several.
std::vector<std::vector<std::size_t>> strata_of(const Units& units, std::size_t n_categories);

/// How often each unit is there in the resamples first, first + 1, …; each depends on the seed and
/// its number alone.
/// @return [units, n]
Eigen::MatrixXd drawn_weights(const std::vector<std::vector<std::size_t>>& strata,
                              std::size_t n_units, std::uint64_t seed, int first, int n);

/// The jackknife's standard error from what changes when a copy of a unit goes, Σ_c (n_c − 1)/n_c
/// Σ_{u∈c} w_u (change_u − mean)²; sums over one stratum at a time.
class JackknifeVariance {
 public:
  void add(double weight, double change) {
    sum_ += weight * change;
    squares_ += weight * change * change;
  }
  void end_stratum(std::size_t n_units);
  double standard_error() const;

 private:
  double sum_ = 0;
  double squares_ = 0;
  double variance_ = 0;
};

/// A statistic and its jackknife standard error, of the data or of a resample.
struct Studentised {
  double value = undefined;
  double standard_error = undefined;
};

/// Fills in standard_error, low, high and method, or reason: [θ − t_{97.5%}·s, θ − t_{2.5%}·s] with
/// the quantiles of (θ* − θ)/s*.
void add_studentised_interval(const Studentised& observed, std::span<const Studentised> resamples,
                              IntervalEstimate& result);

}  // namespace moexray::stats
