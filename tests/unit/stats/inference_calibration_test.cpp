// A short form of bench/inference_calibration: the nested interval of an accuracy covers about as
// often as it should where Wilson's does not, and the verdict "adds" follows context, not token
// types, where a comparison without the rule on seen types errs.
#include <gtest/gtest.h>

#include "calibration_cases.h"

namespace moexray::stats {
namespace {

using bench::PromptWorldOptions;
using bench::SimulatedRoutingOptions;
using bench::TypeRule;

// 95% of 120 are 114, 88% 106; three binomial deviations of 95% are 7. Wilson's covers 85%.
TEST(InferenceCalibration, NestedIntervalsCoverWhereWilsonsDoNot) {
  constexpr int n_data_sets = 120;
  const PromptWorldOptions world{.effect = 0.2, .n_layers = 8, .n_experts = 32};
  int n_nested = 0;
  int n_wilson = 0;
  for (int i = 0; i < n_data_sets; ++i) {
    const bench::AccuracyOutcome outcome = bench::accuracy_outcome(world, 1, i, 20);
    n_nested += bench::covers(outcome.nested, outcome.truth);
    n_wilson += bench::covers(outcome.wilson, outcome.truth);
  }
  EXPECT_GE(n_nested, 107);
  EXPECT_LT(n_wilson, 107);
}

// Related words of a category are routed alike.
SimulatedRoutingOptions related_words() {
  return {.n_types = 2000, .type_share_effect = 0.5, .family_share = 3, .family_routing = 1.5};
}

constexpr int n_verdicts = 40;

// How many of the data sets get "adds", by TypeRule.
std::array<int, 3> verdicts(const SimulatedRoutingOptions& world, bool all_rules) {
  std::array<int, 3> n_adds{};
  for (int i = 0; i < n_verdicts; ++i) {
    const bench::VerdictOutcome outcome = bench::verdict_outcome(world, 1, i, 39, all_rules);
    for (std::size_t rule = 0; rule < n_adds.size(); ++rule)
      n_adds[rule] += outcome.p[rule] <= 0.05;
  }
  return n_adds;
}

// 5% of 40 are 2; more than 7 have a chance of 0.0008.
TEST(InferenceCalibration, TokenTypesAloneAddNothing) {
  const std::array<int, 3> n_adds = verdicts(related_words(), true);
  EXPECT_LE(n_adds[static_cast<std::size_t>(TypeRule::seen_types)], 7);
  EXPECT_GE(n_adds[static_cast<std::size_t>(TypeRule::all_types)], 15);
}

// Found nearly always; a test that finds nothing says "adds" of 2.
TEST(InferenceCalibration, ContextIsFound) {
  SimulatedRoutingOptions world = related_words();
  world.context_effect = 0.4;
  EXPECT_GE(verdicts(world, false)[static_cast<std::size_t>(TypeRule::seen_types)], 32);
}

}  // namespace
}  // namespace moexray::stats
