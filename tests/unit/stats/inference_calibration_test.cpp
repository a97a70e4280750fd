// The short form of bench/inference_calibration: bounds that chance alone breaks once in a
// thousand.
#include <gtest/gtest.h>

#include "bench/calibration_cases.h"
#include "parallel.h"

namespace moexray::bench {
namespace {

constexpr int n_sets = 40;

template <typename Outcome>
std::vector<Outcome> outcomes_of(const std::function<Outcome(int)>& outcome) {
  std::vector<Outcome> result(n_sets);
  parallel_for(n_sets, 2, [&](int i) { result[static_cast<std::size_t>(i)] = outcome(i); });
  return result;
}

TEST(InferenceCalibration, NestedIntervalsCoverTheAccuracyOfTheTrainedModel) {
  const auto outcomes =
      outcomes_of<AccuracyOutcome>([](int i) { return accuracy_outcome(0.4, 1, i, 30); });
  int n_covered = 0;
  double width = 0;
  double wilson_width = 0;
  for (const AccuracyOutcome& o : outcomes) {
    n_covered += covers(o.nested, o.truth) ? 1 : 0;
    width += o.nested[1] - o.nested[0];
    wilson_width += o.wilson[1] - o.wilson[0];
  }
  EXPECT_GE(n_covered, 33);  // of 40, where 95% are expected
  EXPECT_GT(width, wilson_width);
}

TEST(InferenceCalibration, RoutingByTokenTypesAloneAddsNothing) {
  const auto outcomes = outcomes_of<VerdictOutcome>(
      [](int i) { return verdict_outcome({.n_types = 600}, 1, i, 39); });
  int n_rule = 0;
  int n_without = 0;
  for (const VerdictOutcome& o : outcomes) {
    n_rule += o.p_rule <= 0.05 ? 1 : 0;
    n_without += o.p_without <= 0.05 ? 1 : 0;
  }
  EXPECT_LE(n_rule, 8);  // of 40, where 5% are expected
  EXPECT_GT(n_without, n_rule);
}

TEST(InferenceCalibration, AShiftWithContextIsFound) {
  const auto outcomes = outcomes_of<VerdictOutcome>(
      [](int i) { return verdict_outcome({.n_types = 600, .context_effect = 0.4}, 1, i, 39); });
  int n_found = 0;
  for (const VerdictOutcome& o : outcomes) n_found += o.p_rule <= 0.05 ? 1 : 0;
  EXPECT_GE(n_found, 36);
}

}  // namespace
}  // namespace moexray::bench
