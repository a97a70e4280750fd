#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/units.h"

namespace moexray::stats {

/// What one random division into K folds gives: the loss of every prompt under models that did not
/// see it.
struct NestedLosses {
  std::vector<int> folds;  ///< [n] 0 … K − 1
  /// [n] trained on all folds but the prompt's own.
  Vector outer;
  /// [n, K] trained on all folds but the prompt's own and fold f; not read where f is its own.
  Matrix inner;
};

/// An estimate of the mean loss of a model trained on all n prompts, with an interval.
struct NestedInterval {
  double cv_mean = undefined;   ///< mean of `outer` over prompts and repetitions: plain CV
  double estimate = undefined;  ///< corrected for the smaller training sets of the folds
  double standard_error = undefined;
  /// Of the standard error over the naive one; 1 and √K if it met a bound.
  double inflation = undefined;
  std::array<double, 2> ci95 = {undefined, undefined};  ///< NaN: no interval, losses do not vary
};

/// The nested cross-validation interval of Bates, Hastie and Tibshirani (2024, "Cross-validation:
/// what does it estimate and how well does it do it?", JASA 119, 1434–1445).
///
/// For every repetition and outer fold k, a = (mean inner loss over the other folds, by models
/// without fold k, − mean outer loss of fold k)², b = the sampling variance of the latter. MSE =
/// mean(a) − mean(b) − (mean inner − mean outer)² estimates the mean squared error of
/// cross-validation for n(K−1)/K prompts, but for its bias, of which the estimate is freed (the
/// paper does not subtract the third term). With s the standard deviation of the inner losses,
/// √MSE / (s/√(n(K−1)/K)) is the inflation, restricted to [1, √K], and the standard error
/// inflation·s/√n. Estimate: mean inner loss − (mean inner − mean outer)·(1 + (K−2)/K), exact for
/// losses that fall as 1/n (the authors' R package raises (K−2)/K to the power 1.5). The interval
/// is normal, ± 1.96 standard errors.
///
/// Units of several prompts count as one observation each: variances are those of unit sums.
/// Paired differences: pass differences of losses under the same folds.
/// @throws Error (data) if there is no repetition, K < 3, or sizes disagree.
NestedInterval nested_interval(std::span<const NestedLosses> repetitions, const Units& units,
                               int n_folds);

/// The losses of a minus those of b, which have the same folds.
/// @throws Error (data) if they do not.
std::vector<NestedLosses> loss_differences(std::span<const NestedLosses> a,
                                           std::span<const NestedLosses> b);

}  // namespace moexray::stats
