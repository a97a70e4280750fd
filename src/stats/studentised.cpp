#include "studentised.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "moexray/core/random.h"

namespace moexray::stats {
namespace {

// The p-quantile of sorted values at position (n + 1)p, between neighbours by proportion.
double quantile(const std::vector<double>& sorted, double p) {
  const double position = p * (static_cast<double>(sorted.size()) + 1) - 1;
  if (position <= 0) return sorted.front();
  const auto below = static_cast<std::size_t>(position);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double share = position - static_cast<double>(below);
  return (1 - share) * sorted[below] + share * sorted[below + 1];
}

}  // namespace

std::vector<std::vector<std::size_t>> strata_of(const Units& units, std::size_t n_categories) {
  std::vector<std::vector<std::size_t>> strata(n_categories + 1);
  for (std::size_t u = 0; u < units.size(); ++u) {
    const int c = units.category[u];
    strata[c < 0 ? n_categories : static_cast<std::size_t>(c)].push_back(u);
  }
  std::erase_if(strata, [](const auto& stratum) { return stratum.empty(); });
  return strata;
}

Eigen::MatrixXd drawn_weights(const std::vector<std::vector<std::size_t>>& strata,
                              std::size_t n_units, std::uint64_t seed, int first, int n) {
  Eigen::MatrixXd weights = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(n_units), n);
  for (int r = 0; r < n; ++r) {
    RandomStream random(seed, "bootstrap " + std::to_string(first + r));
    for (const auto& stratum : strata) {
      for (std::size_t draw = 0; draw < stratum.size(); ++draw) {
        weights(static_cast<Eigen::Index>(stratum[random.below(stratum.size())]), r) += 1;
      }
    }
  }
  return weights;
}

void JackknifeVariance::end_stratum(std::size_t n_units) {
  const auto n = static_cast<double>(n_units);
  variance_ += (n - 1) / n * std::max(squares_ - sum_ * sum_ / n, 0.0);
  sum_ = squares_ = 0;
}

double JackknifeVariance::standard_error() const { return std::sqrt(variance_); }

void add_studentised_interval(const Studentised& observed, std::span<const Studentised> resamples,
                              IntervalEstimate& result) {
  const double theta = observed.value;
  const double error = observed.standard_error;
  result.standard_error = error;
  // Similarities carry rounding errors of about 1e-15.
  if (!std::isfinite(error) || error < 1e-12) {
    result.reason = std::isfinite(error) ? "no spread among units"
                                         : "undefined without one of the units: too few";
    return;
  }
  std::vector<double> t;
  for (const Studentised& resample : resamples) {
    const double value = (resample.value - theta) / resample.standard_error;
    if (std::isfinite(value)) t.push_back(value);
  }
  constexpr double min_share = 0.95;
  if (static_cast<double>(t.size()) < min_share * static_cast<double>(resamples.size()) ||
      t.empty()) {
    result.reason = "undefined in too many resamples: too few units";
    return;
  }
  std::sort(t.begin(), t.end());
  result.low = theta - quantile(t, 0.975) * error;
  result.high = theta - quantile(t, 0.025) * error;
  result.method = "studentised bootstrap";
}

}  // namespace moexray::stats
