#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/units.h"

namespace moexray::stats {

struct BootstrapOptions {
  int n_resamples = 10'000;
  std::uint64_t seed = 0;
  int n_threads = 1;                        ///< does not change the result
  const std::atomic<bool>* stop = nullptr;  ///< once true, the work ends with Error (interrupted)
};

/// An estimate and its 95% interval.
struct IntervalEstimate {
  double estimate = undefined;
  double low = undefined;
  double high = undefined;
  double standard_error = undefined;  ///< of the jackknife, on the scale of the estimate's interval
  std::string method;                 ///< how the interval was made; empty without one
  std::string reason;                 ///< why there is no interval; empty with one
  bool has_interval() const { return reason.empty(); }
};

struct BootstrapResult {
  IntervalEstimate within;
  IntervalEstimate across;
  IntervalEstimate gap;
  IntervalEstimate cohens_d;
  /// P(similarity of a within pair > similarity of an across pair) + ½ P(equal). Equal: the same to
  /// 12 decimals.
  IntervalEstimate auc;
  bool auc_calibrated = true;  ///< false above 0.97, where the interval covers too rarely

  IntervalEstimate balanced_within;  ///< mean of the categories' means
  IntervalEstimate balanced_across;  ///< mean of the means of all pairs of categories
  IntervalEstimate balanced_gap;
  int n_resamples = 0;
  std::vector<std::string> notices;
};

/// Studentised (bootstrap-t) intervals of what is computed from pairs of prompts, whose units are
/// drawn with replacement within their categories (Davison and Hinkley, Bootstrap Methods and their
/// Application, 1997, section 5.2).
///
/// A resample gives unit u the multiplicity w_u. Pairs of prompts of different units count w_u·w_v
/// times, pairs inside a unit w_u times, and pairs of a unit with its own copies are left out: they
/// have a similarity that no two prompts have. Every resample has its own standard error s*, from
/// the values θ*₍ᵤ₎ without one copy of a unit: s*² = Σ_c (n_c − 1)/n_c Σ_{u∈c} w_u (θ*₍ᵤ₎ −
/// mean)². With the quantiles of t* = (θ* − θ)/s* the interval is [θ − t_{97.5%}·s, θ −
/// t_{2.5%}·s]; that of the AUC is formed on the logit scale. Units that hold several categories
/// are drawn among themselves.
///
/// @param similarity [n, n] from pair_similarity.
/// Costs n²·resamples multiplications and, for the time of the call, 40 bytes a pair of prompts.
/// @throws Error (interrupted)
BootstrapResult bootstrap(const Matrix& similarity, const CategoryIndex& categories,
                          const Units& units, const BootstrapOptions& options);

/// A number of two routings of the same prompts, and its difference.
struct PairedEstimate {
  double first = undefined;
  double second = undefined;
  IntervalEstimate difference;  ///< second − first
};

struct DifferenceResult {
  PairedEstimate gap;
  PairedEstimate cohens_d;
  PairedEstimate auc;
  PairedEstimate r_squared;  ///< as RouterScores::r_squared
};

/// Intervals of the differences of what bootstrap() computes, from the same resamples of both, on
/// the statistics' own scales. Pairs of prompts inside a unit count in nothing here.
/// @param first [n, n] similarities of the prompts in one routing
/// @param second [n, n] in the other
/// @throws Error (interrupted)
DifferenceResult bootstrap_difference(const Matrix& first, const Matrix& second,
                                      const CategoryIndex& categories, const Units& units,
                                      const BootstrapOptions& options);

}  // namespace moexray::stats
