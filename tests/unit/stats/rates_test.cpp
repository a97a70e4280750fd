#include "moexray/stats/rates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "moexray/core/random.h"
#include "stats_support.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

using test::mean_of;
using test::variance_of;

TEST(ClusteredRate, OfEqualUnitsHasTheVarianceOfTheirMean) {
  const std::vector<UnitCount> units = {{3, 10}, {1, 10}, {6, 10}, {2, 10}};
  const std::vector<double> rates = {0.3, 0.1, 0.6, 0.2};
  const ClusteredRate rate = clustered_rate(units);
  EXPECT_EQ(rate.n_units, 4);
  EXPECT_NEAR(rate.estimate, mean_of(rates), 1e-15);
  EXPECT_NEAR(rate.variance, variance_of(rates) / 4, 1e-15);
  EXPECT_NEAR(rate.design_effect, rate.variance / (0.3 * 0.7 / 40), 1e-12);
}

// By hand: π = 6/30, residuals 2 − 2, 3 − 4, 1 − 0; V = 3/2 · 2 / 900.
TEST(ClusteredRate, WeighsTokensNotUnits) {
  const std::vector<UnitCount> units = {{2, 10}, {3, 20}, {1, 0}};
  EXPECT_EQ(clustered_rate(units).n_units, 2);  // one has no tokens
  const ClusteredRate rate = clustered_rate(std::vector<UnitCount>{{2, 10}, {3, 20}, {7, 30}});
  EXPECT_NEAR(rate.estimate, 0.2, 1e-15);
  EXPECT_NEAR(rate.variance, 1.5 * (0 + 1 + 1) / 3600, 1e-15);
}

TEST(ClusteredRate, IsUndefinedWithoutUnitsOrSpread) {
  EXPECT_TRUE(std::isnan(clustered_rate(std::vector<UnitCount>{}).estimate));
  const ClusteredRate one = clustered_rate(std::vector<UnitCount>{{2, 10}});
  EXPECT_EQ(one.estimate, 0.2);
  EXPECT_TRUE(std::isnan(one.variance));
  EXPECT_TRUE(std::isnan(rate_interval(one)[0]));
  const ClusteredRate never = clustered_rate(std::vector<UnitCount>{{0, 10}, {0, 7}});
  EXPECT_EQ(never.variance, 0);
  EXPECT_TRUE(std::isnan(never.design_effect));
  EXPECT_TRUE(std::isnan(rate_interval(never)[0]));
  const ClusteredRate alike = clustered_rate(std::vector<UnitCount>{{3, 9}, {3, 9}, {3, 9}});
  EXPECT_EQ(alike.variance, 0);
  EXPECT_NEAR(rate_interval(alike)[0], 1.0 / 3, 1e-15);
}

TEST(ClusteredRate, IntervalsLieWithinZeroAndOne) {
  const ClusteredRate rate = clustered_rate(std::vector<UnitCount>{{1, 20}, {0, 20}, {0, 20}});
  const auto [low, high] = rate_interval(rate);
  EXPECT_GT(low, 0);
  EXPECT_LT(low, rate.estimate);
  EXPECT_GT(high, rate.estimate);
  EXPECT_LT(high, 1);
}

// Prompts whose own rates are Beta(a, b): the intraclass correlation is ρ = 1/(a + b + 1), and
// units of T tokens have a design effect of 1 + (T − 1)ρ; without spread of rates it is 1.
double mean_design_effect(double spread, double tokens) {
  RandomStream random(7);
  double sum = 0;
  constexpr int n_draws = 1000;
  for (int draw = 0; draw < n_draws; ++draw) {
    std::vector<UnitCount> units;
    for (int i = 0; i < 50; ++i) {
      // A rate of two values has any variance: p(1 − p)ρ around p = 0.3.
      const double own = 0.3 + (random.uniform() < 0.5 ? spread : -spread);
      double count = 0;
      for (int t = 0; t < tokens; ++t) count += random.uniform() < own ? 1 : 0;
      units.push_back({count, tokens});
    }
    sum += clustered_rate(units).design_effect / n_draws;
  }
  return sum;
}

TEST(ClusteredRate, DesignEffectIsOneForIndependentTokens) {
  EXPECT_NEAR(mean_design_effect(0, 20), 1, 0.02);
}

TEST(ClusteredRate, DesignEffectGrowsWithTheTokensOfAlikeUnits) {
  constexpr double correlation = 0.15 * 0.15 / (0.3 * 0.7);
  const double expected = 1 + 19 * correlation;
  EXPECT_NEAR(mean_design_effect(0.15, 20) / expected, 1, 0.02);
}

TEST(RateContrast, OfIndependentSets) {
  const ClusteredRate first = clustered_rate(std::vector<UnitCount>{{3, 10}, {5, 10}, {4, 10}});
  const ClusteredRate second = clustered_rate(std::vector<UnitCount>{{1, 10}, {2, 10}});
  const RateContrast contrast = independent_contrast(first, second);
  EXPECT_NEAR(contrast.difference, 0.25, 1e-15);
  EXPECT_NEAR(contrast.t, 0.25 / std::sqrt(0.01 / 3 + 0.005 / 2), 1e-12);
  EXPECT_EQ(contrast.degrees_of_freedom, 3);
  EXPECT_EQ(independent_contrast(first, first).t, 0);
  const ClusteredRate never = clustered_rate(std::vector<UnitCount>{{0, 10}, {0, 10}});
  const ClusteredRate always = clustered_rate(std::vector<UnitCount>{{10, 10}, {10, 10}});
  EXPECT_EQ(independent_contrast(always, never).t, std::numeric_limits<double>::infinity());
  EXPECT_EQ(independent_contrast(never, never).t, 0);
}

TEST(RateContrast, OfPairs) {
  const std::vector<UnitCount> first = {{3, 10}, {10, 20}, {4, 10}, {1, 0}};
  const std::vector<UnitCount> second = {{1, 10}, {2, 10}, {2, 10}, {5, 10}};
  const RateContrast contrast = paired_contrast(first, second);
  const std::vector<double> differences = {0.2, 0.3, 0.2};
  EXPECT_NEAR(contrast.difference, mean_of(differences), 1e-15);
  EXPECT_NEAR(contrast.t, mean_of(differences) / std::sqrt(variance_of(differences) / 3), 1e-9);
  EXPECT_EQ(contrast.degrees_of_freedom, 2);
  EXPECT_EQ(paired_contrast(first, first).t, 0);
  EXPECT_TRUE(std::isnan(paired_contrast({}, {}).difference));
  test::expect_error(ErrorKind::runtime, "4 of both",
                     [&] { paired_contrast(first, std::span(second).first(2)); });
}

// scipy 1.17: stats.t.ppf.
TEST(StudentT, Quantiles) {
  EXPECT_NEAR(student_t_quantile(0.975, 1), 12.706204736174694, 1e-10);
  EXPECT_NEAR(student_t_quantile(0.975, 19), 2.093024054408263, 1e-12);
  EXPECT_NEAR(student_t_quantile(0.025, 19), -2.093024054408263, 1e-12);
  EXPECT_NEAR(student_t_quantile(0.95, 4.5), 2.065575888878524, 1e-12);
  EXPECT_NEAR(student_t_quantile(0.975, 1e6), 1.959966356814107, 1e-8);
  EXPECT_NEAR(student_t_quantile(0.5, 3), 0, 1e-12);
}

}  // namespace
}  // namespace moexray::stats
