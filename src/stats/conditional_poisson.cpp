#include "moexray/stats/conditional_poisson.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "moexray/core/error.h"

namespace moexray::stats {
namespace {

constexpr int nobody = -1;

// The elementary symmetric polynomials e_0 … e_k of the odds of all but two.
std::vector<double> symmetric(const std::vector<double>& odds, int k, int without = nobody,
                              int nor = nobody) {
  std::vector<double> e(static_cast<std::size_t>(k) + 1);
  e[0] = 1;
  for (std::size_t i = 0; i < odds.size(); ++i) {
    if (odds[i] == 0 || static_cast<int>(i) == without || static_cast<int>(i) == nor) continue;
    for (std::size_t r = e.size() - 1; r > 0; --r) e[r] += odds[i] * e[r - 1];
  }
  return e;
}

bool is_free(double rate) { return rate > 0 && rate < 1; }

std::vector<double> rates_of(const std::vector<double>& odds, const std::vector<double>& asked,
                             int k) {
  std::vector<double> rates = asked;
  if (k == 0) return rates;
  const double all = symmetric(odds, k).back();
  for (std::size_t i = 0; i < odds.size(); ++i) {
    if (odds[i] == 0) continue;
    rates[i] = odds[i] * symmetric(odds, k - 1, static_cast<int>(i)).back() / all;
  }
  return rates;
}

}  // namespace

ConditionalPoisson::ConditionalPoisson(std::span<const double> rates, int k)
    : odds_(rates.size()), asked_(rates.begin(), rates.end()), k_(k) {
  double sum = 0;
  int n_free = 0;
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    sum += asked_[i];
    if (asked_[i] >= 1) --k_;
    if (!is_free(asked_[i])) continue;
    odds_[i] = asked_[i] / (1 - asked_[i]);
    ++n_free;
  }
  if (std::abs(sum - k) > 1e-6 || k_ < 0 || k_ > n_free) {
    throw Error(ErrorKind::runtime,
                {"rates of experts", {}, "a sum of " + std::to_string(k), std::to_string(sum)});
  }
  for (int iteration = 0; iteration < 500 && k_ > 0; ++iteration) {
    const std::vector<double> found = rates_of(odds_, asked_, k_);
    double largest = 0;
    double scale = 0;
    for (std::size_t i = 0; i < odds_.size(); ++i) {
      if (odds_[i] == 0) continue;
      largest = std::max(largest, std::abs(found[i] / asked_[i] - 1));
      odds_[i] *= asked_[i] / found[i];
      scale = std::max(scale, odds_[i]);
    }
    // Only their proportions matter.
    for (double& odds : odds_) odds /= scale;
    if (largest < 1e-12) break;
  }
}

std::vector<double> ConditionalPoisson::rates() const { return rates_of(odds_, asked_, k_); }

std::vector<double> ConditionalPoisson::joint(int i) const {
  const auto own = static_cast<std::size_t>(i);
  const std::vector<double> rates = this->rates();
  std::vector<double> result(rates.size());
  const double all = symmetric(odds_, std::max(k_, 0)).back();
  for (std::size_t j = 0; j < rates.size(); ++j) {
    if (odds_[own] == 0 || odds_[j] == 0 || j == own) {
      result[j] = j == own ? rates[own] : rates[own] * rates[j];
    } else if (k_ >= 2) {
      result[j] =
          odds_[own] * odds_[j] * symmetric(odds_, k_ - 2, i, static_cast<int>(j)).back() / all;
    }
  }
  return result;
}

}  // namespace moexray::stats
