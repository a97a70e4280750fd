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

}  // namespace
}  // namespace moexray::bench
