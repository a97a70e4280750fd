// The levels of `compare`'s tests of usage: a smoke test of what bench/usage_calibration measures.
#include <gtest/gtest.h>

#include "usage_cases.h"

namespace moexray::stats {
namespace {

TEST(UsageCalibration, NothingIsFoundWhereNothingShiftsAndAShiftIs) {
  const bench::UsageWorld world(
      {.n_prompts = 400, .spread_lengths = true, .shift = 0.8, .autocorrelation = 0.8}, 1);
  const UsageShift truth = usage_shift(world.population(), {.n_permutations = 1});
  constexpr int n_sets = 60;
  int n_claims = 0;
  int n_categories = 0;
  int n_found = 0;
  double covered = 0;
  for (int i = 0; i < n_sets; ++i) {
    RandomStream random(2, "data set " + std::to_string(i));
    const auto seed = static_cast<std::uint64_t>(i);
    const auto null = bench::usage_outcome(world.sample(24, true, random), truth, 99, seed);
    n_claims += null.any_claim ? 1 : 0;
    n_categories += null.categories ? 1 : 0;
    const auto shifted = bench::usage_outcome(world.sample(24, false, random), truth, 99, seed);
    n_found += shifted.found ? 1 : 0;
    covered += shifted.covered / n_sets;
  }
  // At 5% more than 9 of 60 are a chance of one in 300.
  EXPECT_LE(n_claims, 9);
  EXPECT_LE(n_categories, 9);
  EXPECT_GE(n_found, 30);
  EXPECT_GT(covered, 0.9);
}

}  // namespace
}  // namespace moexray::stats
