#include "moexray/stats/nested_cv.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "moexray/core/error.h"

namespace moexray::stats {
namespace {

constexpr double z95 = 1.959963984540054;

void check(std::span<const NestedLosses> repetitions, const Units& units, int n_folds) {
  const std::size_t n = units.of_prompt.size();
  const auto fits = [&](const NestedLosses& r) {
    return r.folds.size() == n && static_cast<std::size_t>(r.outer.size()) == n &&
           static_cast<std::size_t>(r.inner.rows()) == n && r.inner.cols() == n_folds &&
           std::all_of(r.folds.begin(), r.folds.end(),
                       [&](int f) { return f >= 0 && f < n_folds; });
  };
  if (repetitions.empty() || n_folds < 3 ||
      !std::all_of(repetitions.begin(), repetitions.end(), fits)) {
    throw Error(ErrorKind::data,
                {"nested cross-validation",
                 {},
                 "repetitions of at least 3 folds over " + std::to_string(n) + " prompts",
                 std::to_string(repetitions.size()) + " repetitions of " + std::to_string(n_folds) +
                     " folds"});
  }
}

// The mean of some prompts' losses and its sampling variance, units being the independent parts.
class ClusteredMean {
 public:
  explicit ClusteredMean(const Units& units)
      : units_(units), sums_(units.size()), n_(units.size()) {}

  void add(std::size_t prompt, double loss) {
    const auto unit = static_cast<std::size_t>(units_.of_prompt[prompt]);
    sums_[unit] += loss;
    n_[unit] += 1;
    total_ += loss;
    n_total_ += 1;
  }
  double n() const { return n_total_; }
  double mean() const { return total_ / n_total_; }
  // Σ_u (Σ of the unit's losses − their number · mean)² · u/(u − 1) / n²; with units of one prompt
  // the sample variance over n.
  double variance_of_mean() const {
    double sum = 0;
    double n_units = 0;
    for (std::size_t u = 0; u < sums_.size(); ++u) {
      if (n_[u] == 0) continue;
      n_units += 1;
      sum += std::pow(sums_[u] - n_[u] * mean(), 2);
    }
    return n_units > 1 ? sum * n_units / (n_units - 1) / (n_total_ * n_total_) : 0;
  }

 private:
  const Units& units_;
  std::vector<double> sums_;
  std::vector<double> n_;
  double total_ = 0;
  double n_total_ = 0;
};

}  // namespace

NestedInterval nested_interval(std::span<const NestedLosses> repetitions, const Units& units,
                               int n_folds) {
  check(repetitions, units, n_folds);
  const std::size_t n = units.of_prompt.size();
  ClusteredMean all_outer(units);
  // Every prompt's inner losses, averaged for the means and squared for the spread.
  double inner_sum = 0;
  double n_inner = 0;
  double spread_sum = 0;  // of the variances of the mean of n prompts
  double mse_sum = 0;
  int n_spreads = 0;
  int n_outer_folds = 0;
  for (const NestedLosses& repetition : repetitions) {
    for (int k = 0; k < n_folds; ++k) {
      ClusteredMean inner(units);
      ClusteredMean outer(units);
      for (std::size_t i = 0; i < n; ++i) {
        const auto row = static_cast<Eigen::Index>(i);
        if (repetition.folds[i] == k) {
          outer.add(i, repetition.outer(row));
          all_outer.add(i, repetition.outer(row));
        } else {
          inner.add(i, repetition.inner(row, k));
        }
      }
      if (outer.n() == 0 || inner.n() == 0) continue;
      mse_sum += std::pow(inner.mean() - outer.mean(), 2) - outer.variance_of_mean();
      ++n_outer_folds;
      inner_sum += inner.mean() * inner.n();
      n_inner += inner.n();
      // For n prompts in place of the inner ones.
      spread_sum += inner.variance_of_mean() * inner.n() / static_cast<double>(n);
      ++n_spreads;
    }
  }
  NestedInterval result;
  result.cv_mean = all_outer.mean();
  const double inner_mean = inner_sum / n_inner;
  const double k = n_folds;
  const double difference = inner_mean - result.cv_mean;
  result.estimate = inner_mean - difference * (1 + (k - 2) / k);
  const double naive = std::sqrt(spread_sum / n_spreads);
  constexpr double noise = 1e-12;
  if (!(naive > noise)) return result;
  // The squares of inner − outer hold the systematic difference of the two, for which the estimate
  // is corrected already.
  const double mse = (mse_sum / n_outer_folds - difference * difference) * (k - 1) / k;
  result.inflation = std::clamp(std::sqrt(std::max(mse, 0.0)) / naive, 1.0, std::sqrt(k));
  result.standard_error = naive * result.inflation;
  result.ci95 = {result.estimate - z95 * result.standard_error,
                 result.estimate + z95 * result.standard_error};
  return result;
}

std::vector<NestedLosses> loss_differences(std::span<const NestedLosses> a,
                                           std::span<const NestedLosses> b) {
  if (a.size() != b.size()) throw Error(ErrorKind::data, "losses of different repetitions");
  std::vector<NestedLosses> result;
  for (std::size_t r = 0; r < a.size(); ++r) {
    if (a[r].folds != b[r].folds) throw Error(ErrorKind::data, "losses of different folds");
    result.push_back({a[r].folds, a[r].outer - b[r].outer, a[r].inner - b[r].inner});
  }
  return result;
}

}  // namespace moexray::stats
