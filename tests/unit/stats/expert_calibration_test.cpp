// A short form of bench/expert_calibration: no expert is found where categories differ in length,
// positions and correlation alone, and experts are found where there is something.
#include <gtest/gtest.h>

#include "expert_cases.h"

namespace moexray::stats {
namespace {

using bench::expert_outcome;
using bench::ExpertOutcome;
using bench::null_expert_worlds;

struct Found {
  int claims = 0;
  int lists = 0;
};

Found found_in(const bench::ExpertWorldOptions& world, int n_data_sets) {
  Found found;
  for (int i = 0; i < n_data_sets; ++i) {
    const ExpertOutcome outcome = expert_outcome(world, 7, i, 99);
    EXPECT_TRUE(outcome.tested);
    found.claims += outcome.n_significant > 0 ? 1 : 0;
    found.lists += outcome.n_listed > 0 ? 1 : 0;
  }
  return found;
}

// 5% of 40 are 2; more than 7 have a chance of 0.0008.
TEST(ExpertCalibration, FindsNothingWhereOnlyLengthsAndPositionsDiffer) {
  for (const bench::NamedExpertWorld& world : null_expert_worlds()) {
    const Found found = found_in(world.options, 40);
    EXPECT_LE(found.claims, 7) << world.name;
    EXPECT_LE(found.lists, 7) << world.name;
  }
}

// Found nearly always, even with all of these at once.
TEST(ExpertCalibration, FindsWhatIsThere) {
  bench::ExpertWorldOptions world = null_expert_worlds().at(4).options;
  world.effect = 0.45;
  const Found found = found_in(world, 20);
  EXPECT_GE(found.claims, 18);
  EXPECT_GE(found.lists, 18);
}

}  // namespace
}  // namespace moexray::stats
