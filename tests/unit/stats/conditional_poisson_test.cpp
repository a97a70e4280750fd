#include "moexray/stats/conditional_poisson.h"

#include <gtest/gtest.h>

#include <numeric>

#include "support/expect_error.h"

namespace moexray::stats {
namespace {

TEST(ConditionalPoisson, UniformRatesGivePairsOfTopK) {
  const std::vector<double> rates(64, 8.0 / 64);
  const std::vector<double> joint = ConditionalPoisson(rates, 8).joint(3);
  for (int j = 0; j < 64; ++j) {
    EXPECT_NEAR(joint[static_cast<std::size_t>(j)], j == 3 ? 0.125 : 8.0 * 7 / (64 * 63), 1e-14);
  }
}

TEST(ConditionalPoisson, KeepsTheRatesItIsGiven) {
  const std::vector<double> rates = {0.9, 0.05, 0.3, 0.45, 0.7, 0.6};
  const ConditionalPoisson drawing(rates, 3);
  const std::vector<double> found = drawing.rates();
  double pairs = 0;
  for (int i = 0; i < 6; ++i) {
    const auto own = static_cast<std::size_t>(i);
    EXPECT_NEAR(found[own], rates[own], 1e-12);
    const std::vector<double> joint = drawing.joint(i);
    // Each set with i holds two others.
    EXPECT_NEAR(std::accumulate(joint.begin(), joint.end(), 0.0), 3 * rates[own], 1e-11);
    for (std::size_t j = own + 1; j < 6; ++j) {
      pairs += joint[j];
      EXPECT_NEAR(joint[j], drawing.joint(static_cast<int>(j))[own], 1e-14);
    }
  }
  EXPECT_NEAR(pairs, 3, 1e-12);
}

// All 2-sets of four experts, P ∝ w_i w_j with odds 1, 2, 3, 4: by hand, of 35 in all.
TEST(ConditionalPoisson, IsTheDistributionOfProductsOfOdds) {
  const std::vector<double> rates = {9.0 / 35, 16.0 / 35, 21.0 / 35, 24.0 / 35};
  const std::vector<double> joint = ConditionalPoisson(rates, 2).joint(1);
  EXPECT_NEAR(joint[0], 2.0 / 35, 1e-12);
  EXPECT_NEAR(joint[2], 6.0 / 35, 1e-12);
  EXPECT_NEAR(joint[3], 8.0 / 35, 1e-12);
}

TEST(ConditionalPoisson, ExpertsThatAreAlwaysOrNeverDrawn) {
  const std::vector<double> rates = {1, 0, 0.5, 0.5, 1};
  const ConditionalPoisson drawing(rates, 3);
  EXPECT_EQ(drawing.joint(0), (std::vector<double>{1, 0, 0.5, 0.5, 1}));
  const std::vector<double> joint = drawing.joint(2);
  EXPECT_NEAR(joint[0], 0.5, 1e-12);
  EXPECT_NEAR(joint[3], 0, 1e-12);
  EXPECT_EQ(ConditionalPoisson(std::vector<double>{1, 1}, 2).joint(0), (std::vector<double>{1, 1}));
  EXPECT_EQ(ConditionalPoisson(std::vector<double>{0.25, 0.75}, 1).joint(0),
            (std::vector<double>{0.25, 0}));
  test::expect_error(ErrorKind::runtime, "a sum of 2",
                     [&] { ConditionalPoisson(std::vector<double>{0.5, 0.5}, 2); });
}

}  // namespace
}  // namespace moexray::stats
