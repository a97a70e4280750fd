// A short form of bench/expert_calibration: no test of labels finds anything where categories
// differ in length, positions and correlation alone, and all do where there is something.
#include <gtest/gtest.h>

#include "expert_cases.h"
#include "label_cases.h"

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

// [tests] data sets of `n_data_sets` with a finding.
std::array<int, bench::n_label_tests> found_labels(const bench::ExpertWorldOptions& options,
                                                   int n_data_sets) {
  std::array<int, bench::n_label_tests> n_found{};
  for (int i = 0; i < n_data_sets; ++i) {
    const std::uint64_t own = RandomStream(7, "data set " + std::to_string(i))();
    const bench::ExpertWorld world = bench::expert_world(options, own);
    const auto outcome = bench::label_outcome(world.signatures, world.tokens, 99, own, true);
    EXPECT_TRUE(outcome.tested);
    for (std::size_t t = 0; t < n_found.size(); ++t) n_found[t] += outcome.found[t] ? 1 : 0;
  }
  return n_found;
}

TEST(LabelCalibration, FindsNothingWhereOnlyLengthsAndPositionsDiffer) {
  for (const bench::NamedExpertWorld& world : null_expert_worlds()) {
    const auto n_found = found_labels(world.options, 40);
    for (std::size_t t = 0; t < bench::gap_of_all; ++t) {
      EXPECT_LE(n_found[t], 7) << world.name << ", " << bench::label_test_names[t];
    }
  }
  EXPECT_EQ(found_labels(null_expert_worlds().at(4).options, 10)[bench::gap_of_all], 10)
      << "the world does not show what this is about";
}

TEST(LabelCalibration, FindsWhatIsThere) {
  bench::ExpertWorldOptions world = null_expert_worlds().at(4).options;
  world.effect = 0.45;
  const auto n_found = found_labels(world, 20);
  for (const auto test :
       {bench::gap, bench::permanova, bench::any_layer, bench::label_shuffle, bench::any_expert}) {
    EXPECT_GE(n_found[test], 18) << bench::label_test_names[test];
  }
}

}  // namespace
}  // namespace moexray::stats
