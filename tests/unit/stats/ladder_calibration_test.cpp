// A short form of bench/ladder_calibration.
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "ladder_cases.h"

namespace moexray::bench {
namespace {

// In how many of 20 data sets the decisive rung finds something.
int n_found(const std::string& name) {
  constexpr int n_permutations = 39;
  constexpr std::array tests = {decisive};
  int found = 0;
  for (const LadderCase& world : ladder_worlds()) {
    if (world.name != name) continue;
    for (int i = 0; i < 20; ++i) {
      const LadderOutcome outcome = ladder_outcome(world.options, 11, i, n_permutations, tests);
      EXPECT_TRUE(outcome.tested) << name;
      found += outcome.found[decisive] ? 1 : 0;
    }
  }
  return found;
}

TEST(LadderCalibration, TokensAndPlacesAloneAddNothing) {
  // 5% of 20 are 1; more than 4 have a probability of 0.003.
  EXPECT_LE(n_found("words, lengths"), 4);
  EXPECT_LE(n_found("first ten tokens, lengths"), 4);
  EXPECT_LE(n_found("generated tokens, their share"), 4);
}

TEST(LadderCalibration, ContextIsFound) {
  EXPECT_GE(n_found("context 0.4, first ten, lengths"), 18);
}

}  // namespace
}  // namespace moexray::bench
