// The accuracy of a classifier against permuted labels.
#include "moexray/stats/accuracy_test.h"

#include <gtest/gtest.h>

#include <cmath>

#include "expert_cases.h"

namespace moexray::stats {
namespace {

ComparedPrompts compared(const bench::ExpertWorldOptions& options, std::uint64_t seed) {
  const bench::ExpertWorld world = bench::expert_world(options, seed);
  return compared_prompts(world.tokens, world.signatures, {}, TokenSelection::all);
}

bench::ExpertWorldOptions small_world(double effect) {
  bench::ExpertWorldOptions options{.n_prompts = {12, 12}, .n_tokens = {15, 60}};
  options.n_layers = 2;
  options.n_experts = 8;
  options.position_effect = 1;
  options.effect = effect;
  return options;
}

TEST(AccuracyTest, HoldsItsLevelWhereLengthsGoWithTheCategory) {
  int n_found = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const AccuracyTest test =
        test_accuracy(compared(small_world(0), seed), {.n_permutations = 39, .seed = seed});
    ASSERT_EQ(test.left_out, "");
    n_found += test.p_value <= 0.05 ? 1 : 0;
  }
  EXPECT_LE(n_found, 7);  // 2 are expected; more than 7 have a chance of 0.0008
}

TEST(AccuracyTest, FindsWhatIsThere) {
  const AccuracyTest test = test_accuracy(compared(small_world(0.8), 1), {.n_permutations = 99});
  EXPECT_LE(test.p_value, 0.05);
  EXPECT_GT(test.accuracy, 0.7);
  EXPECT_NEAR(test.chance, 0.5, 0.15);
  EXPECT_EQ(test.n_permutations, 99);
}

TEST(AccuracyTest, TakesTwoFoldsToo) {
  const AccuracyTest test =
      test_accuracy(compared(small_world(0.8), 1), {.n_folds = 2, .n_permutations = 39});
  EXPECT_EQ(test.left_out, "");
  EXPECT_LE(test.p_value, 0.05);
}

TEST(AccuracyTest, DoesNotDependOnThreads) {
  const ComparedPrompts prompts = compared(small_world(0.3), 2);
  const AccuracyTest one = test_accuracy(prompts, {.n_permutations = 19, .n_threads = 1});
  const AccuracyTest three = test_accuracy(prompts, {.n_permutations = 19, .n_threads = 3});
  EXPECT_EQ(one.p_value, three.p_value);
  EXPECT_EQ(one.chance, three.chance);
}

TEST(AccuracyTest, SaysWhyThereIsNone) {
  const ComparedPrompts prompts = compared(small_world(0.3), 2);
  EXPECT_EQ(test_accuracy(prompts, {.n_permutations = 0}).left_out, "no permutations");
  const AccuracyTest few = test_accuracy(prompts, {.n_folds = 20, .n_permutations = 9});
  EXPECT_NE(few.left_out.find("20 folds"), std::string::npos) << few.left_out;
  EXPECT_TRUE(std::isnan(few.p_value));
  bench::ExpertWorldOptions unequal = small_world(0);
  unequal.n_tokens = {4, 60};
  const ComparedPrompts nothing = compared(unequal, 1);
  EXPECT_EQ(test_accuracy(nothing, {.n_permutations = 9}).left_out, nothing.check.reason);
  EXPECT_EQ(affordable(AccuracyTestOptions{}, prompts.signatures).n_permutations, 199);
}

}  // namespace
}  // namespace moexray::stats
