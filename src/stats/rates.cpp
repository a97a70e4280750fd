#include "moexray/stats/rates.h"

#include <cmath>
#include <limits>
#include <string>

#include "moexray/core/error.h"

namespace moexray::stats {
namespace {

// Variances and differences this small beside what they are made of are rounding errors.
constexpr double noise = 1e-13;

// The continued fraction of the incomplete beta function, by Lentz's method.
double beta_fraction(double a, double b, double x) {
  constexpr double tiny = 1e-300;
  const auto not_zero = [](double v) { return std::abs(v) < tiny ? tiny : v; };
  double c = 1;
  double d = 1 / not_zero(1 - (a + b) * x / (a + 1));
  double result = d;
  for (int m = 1; m < 500; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / not_zero(1 + even * d);
    c = not_zero(1 + even / c);
    result *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / not_zero(1 + odd * d);
    c = not_zero(1 + odd / c);
    const double step = d * c;
    result *= step;
    if (std::abs(step - 1) < 1e-15) break;
  }
  return result;
}

// The regularised incomplete beta function.
double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

// P(T > t) for t ≥ 0.
double upper_tail(double t, double df) {
  return incomplete_beta(df / 2, 0.5, df / (df + t * t)) / 2;
}

double rate_of(const UnitCount& unit) { return unit.count / unit.tokens; }

}  // namespace

void RateSums::add(const UnitCount& unit) {
  if (!(unit.tokens > 0)) return;
  n += 1;
  count += unit.count;
  tokens += unit.tokens;
  count_squares += unit.count * unit.count;
  token_squares += unit.tokens * unit.tokens;
  products += unit.count * unit.tokens;
}

RateSums& RateSums::operator+=(const RateSums& other) {
  n += other.n;
  count += other.count;
  tokens += other.tokens;
  count_squares += other.count_squares;
  token_squares += other.token_squares;
  products += other.products;
  return *this;
}

RateSums& RateSums::operator-=(const RateSums& other) {
  n -= other.n;
  count -= other.count;
  tokens -= other.tokens;
  count_squares -= other.count_squares;
  token_squares -= other.token_squares;
  products -= other.products;
  return *this;
}

ClusteredRate clustered_rate(const RateSums& sums) {
  ClusteredRate rate;
  rate.n_units = std::llround(sums.n);
  if (!(sums.tokens > 0)) return rate;
  rate.estimate = sums.count / sums.tokens;
  if (sums.n < 1.5) return rate;
  const double p = rate.estimate;
  double squares = sums.count_squares - 2 * p * sums.products + p * p * sums.token_squares;
  if (squares < noise * sums.count_squares) squares = 0;
  rate.variance = sums.n / (sums.n - 1) * squares / (sums.tokens * sums.tokens);
  const double independent = p * (1 - p) / sums.tokens;
  if (independent > 0) rate.design_effect = rate.variance / independent;
  return rate;
}

ClusteredRate clustered_rate(std::span<const UnitCount> units) {
  RateSums sums;
  for (const UnitCount& unit : units) sums.add(unit);
  return clustered_rate(sums);
}

std::array<double, 2> rate_interval(const ClusteredRate& rate, double quantile) {
  const double p = rate.estimate;
  if (!(p > 0 && p < 1) || std::isnan(rate.variance)) return {undefined, undefined};
  const double logit = std::log(p) - std::log1p(-p);
  const double half = quantile * std::sqrt(rate.variance) / (p * (1 - p));
  const auto inverse = [](double x) { return 1 / (1 + std::exp(-x)); };
  return {inverse(logit - half), inverse(logit + half)};
}

std::array<double, 2> rate_interval(const ClusteredRate& rate) {
  if (rate.n_units < 2) return {undefined, undefined};
  return rate_interval(rate, student_t_quantile(0.975, static_cast<double>(rate.n_units - 1)));
}

RateContrast independent_contrast(const ClusteredRate& first, const ClusteredRate& second) {
  RateContrast contrast;
  contrast.difference = first.estimate - second.estimate;
  if (std::isnan(contrast.difference)) return contrast;
  contrast.degrees_of_freedom = static_cast<double>(first.n_units + second.n_units - 2);
  if (std::abs(contrast.difference) <= noise * (first.estimate + second.estimate)) {
    contrast.t = 0;
  } else {
    contrast.t = contrast.difference / std::sqrt(first.variance + second.variance);
  }
  return contrast;
}

RateContrast paired_contrast(std::span<const UnitCount> first, std::span<const UnitCount> second) {
  if (first.size() != second.size()) {
    throw Error(ErrorKind::runtime, {"paired units",
                                     {},
                                     std::to_string(first.size()) + " of both",
                                     std::to_string(second.size()) + " of the second"});
  }
  double n = 0;
  double sum = 0;
  double level = 0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (!(first[i].tokens > 0 && second[i].tokens > 0)) continue;
    n += 1;
    sum += rate_of(first[i]) - rate_of(second[i]);
    level += rate_of(first[i]) + rate_of(second[i]);
  }
  RateContrast contrast;
  if (n < 1) return contrast;
  contrast.difference = sum / n;
  if (n < 2) return contrast;
  contrast.degrees_of_freedom = n - 1;
  double squares = 0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (!(first[i].tokens > 0 && second[i].tokens > 0)) continue;
    const double d = rate_of(first[i]) - rate_of(second[i]) - contrast.difference;
    squares += d * d;
  }
  const double error = std::sqrt(squares / (n * (n - 1)));
  if (std::abs(contrast.difference) <= noise * level) {
    contrast.t = 0;
  } else {
    contrast.t = contrast.difference / (error < noise * level ? 0 : error);
  }
  return contrast;
}

double student_t_quantile(double p, double degrees_of_freedom) {
  if (p < 0.5) return -student_t_quantile(1 - p, degrees_of_freedom);
  double high = 1;
  while (upper_tail(high, degrees_of_freedom) > 1 - p && high < 1e300) high *= 2;
  double low = high > 1 ? high / 2 : 0;
  for (int i = 0; i < 100 && high - low > 1e-14 * high; ++i) {
    const double middle = (low + high) / 2;
    (upper_tail(middle, degrees_of_freedom) > 1 - p ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace moexray::stats
