// A short form of bench/shadow_calibration.
#include <gtest/gtest.h>

#include <cmath>

#include "shadow_cases.h"

namespace moexray::bench {
namespace {

int n_found(const ShadowWorld& world, int n, bool is_matched) {
  int found = 0;
  for (int i = 0; i < n; ++i) {
    ShadowCase one(world, 5, i);
    found += judged(one.contrast(is_matched), world.n_routers).larger ? 1 : 0;
  }
  return found;
}

TEST(ShadowCalibration, ARandomRouterCalledTrainedIsSeldomDifferent) {
  // 5% of 60 are 3; more than 9 have a probability of 0.001.
  EXPECT_LE(n_found(shadow_worlds().front(), 60, false), 9);
  EXPECT_LE(n_found(shadow_worlds().front(), 60, true), 9);
}

TEST(ShadowCalibration, ABetterRouterIsFound) {
  EXPECT_GE(n_found({.planted = 0.4}, 20, true), 16);
}

TEST(ShadowCalibration, WhereHiddenStatesKnowNothingNoRouterSeparates) {
  // One hidden state for all tokens: every router gives all prompts one signature.
  ShadowCase same({.category = 0, .prompt = 0, .token = 0}, 1, 0);
  // Prompts that differ in the noise of their tokens alone: R² is 0 on average.
  constexpr int n = 40;
  for (const bool is_matched : {false, true}) {
    const stats::RouterContrast contrast = same.contrast(is_matched);
    EXPECT_TRUE(std::isnan(contrast.own));
    EXPECT_EQ(stats::router_outcome(contrast), stats::RouterOutcome::cannot_tell);
    double own = 0, random = 0;
    for (int i = 0; i < n; ++i) {
      const stats::RouterContrast one =
          ShadowCase({.category = 0, .prompt = 0}, 2, i).contrast(is_matched);
      own += one.own / n;
      random += one.mean / n;
    }
    EXPECT_NEAR(own, 0, 0.012);
    EXPECT_NEAR(random, 0, 0.008);
  }
}

}  // namespace
}  // namespace moexray::bench
