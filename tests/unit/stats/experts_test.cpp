#include "moexray/stats/experts.h"

#include <gtest/gtest.h>

#include <cmath>

#include "stats_support.h"

namespace moexray::stats {
namespace {

// Two layers of four experts, top-1. Shares over uniform over all prompts: layer 0: 3.4, 0.6, 0, 0;
// layer 1: 1, 1, 1, 1.
Signatures four_prompts() {
  return test::signatures_from_counts({{9, 1, 0, 0, 2, 3, 2, 3},
                                       {9, 1, 0, 0, 3, 2, 3, 2},
                                       {8, 2, 0, 0, 3, 2, 3, 2},
                                       {8, 2, 0, 0, 2, 3, 2, 3}},
                                      2, 4, 1, {"b", "a", "", "b"});
}

TEST(Experts, CountsAddUpByCategory) {
  const ExpertsResult result = expert_usage(four_prompts(), {});
  EXPECT_EQ(result.categories, (std::vector<std::string>{"", "a", "b"}));
  Matrix expected(2, 4);
  expected << 34, 6, 0, 0, 10, 10, 10, 10;
  EXPECT_EQ(result.counts, expected);
  expected << 17, 3, 0, 0, 4, 6, 4, 6;
  EXPECT_EQ(result.category_counts[2], expected);
  EXPECT_EQ(result.counts, Matrix(result.category_counts[0] + result.category_counts[1] +
                                  result.category_counts[2]));
}

TEST(Experts, NamesCollapsedAndOverloadedOnes) {
  const ExpertsResult result = expert_usage(four_prompts(), {.underused = 0.7, .overloaded = 3.3});
  ASSERT_EQ(result.unused.size(), 2U);
  EXPECT_EQ(result.unused[1].layer, 0);
  EXPECT_EQ(result.unused[1].expert, 3);
  ASSERT_EQ(result.underused.size(), 1U);
  EXPECT_EQ(result.underused[0].expert, 1);
  EXPECT_NEAR(result.underused[0].share_over_uniform, 0.6, 1e-15);
  ASSERT_EQ(result.overloaded.size(), 1U);
  EXPECT_EQ(result.overloaded[0].expert, 0);
  EXPECT_EQ(result.overloaded[0].count, 34);
  EXPECT_NEAR(result.overloaded[0].share, 0.85, 1e-15);
  const ExpertsResult strict = expert_usage(four_prompts(), {.underused = 0.5, .overloaded = 3.5});
  EXPECT_EQ(strict.unused.size(), 2U);
  EXPECT_TRUE(strict.underused.empty());
  EXPECT_TRUE(strict.overloaded.empty());
}

TEST(Experts, SayWhetherALayerHasCollapsed) {
  // Two of four experts of layer 0 are never used; layer 1 is even.
  const ExpertsResult result = expert_usage(four_prompts(), {});
  EXPECT_FALSE(result.too_few_tokens);
  EXPECT_TRUE(result.layers[0].collapsed);
  EXPECT_FALSE(result.layers[1].collapsed);
  const ExpertsResult few =
      expert_usage(test::signatures_from_counts({{4, 0, 0, 0}}, 1, 4, 1, {"a"}), {});
  EXPECT_TRUE(few.too_few_tokens);
  EXPECT_FALSE(few.layers[0].collapsed);
}

TEST(Experts, SummariseTheLoadOfALayer) {
  const ExpertsResult result = expert_usage(four_prompts(), {});
  const LayerLoad& uneven = result.layers[0];
  EXPECT_EQ(uneven.count, 40);
  EXPECT_NEAR(uneven.entropy, -(0.85 * std::log(0.85) + 0.15 * std::log(0.15)) / std::log(4.0),
              1e-15);
  EXPECT_NEAR(uneven.load_cv, std::sqrt((2.4 * 2.4 + 0.4 * 0.4 + 1 + 1) / 4), 1e-14);
  EXPECT_EQ(uneven.busiest.expert, 0);
  EXPECT_EQ(uneven.n_unused, 2);
  EXPECT_EQ(uneven.n_underused, 0);
  const LayerLoad& even = result.layers[1];
  EXPECT_NEAR(even.entropy, 1, 1e-15);
  EXPECT_EQ(even.load_cv, 0);
  EXPECT_EQ(even.busiest.layer, 1);
  EXPECT_EQ(even.busiest.expert, 0);
}

TEST(Experts, OverloadedComeMostUsedFirst) {
  const Signatures s = test::signatures_from_counts({{5, 1, 1, 1, 1, 1, 7, 1}}, 2, 4, 1, {"a"});
  const ExpertsResult result = expert_usage(s, {.overloaded = 2});
  ASSERT_EQ(result.overloaded.size(), 2U);
  EXPECT_EQ(result.overloaded[0].layer, 1);
  EXPECT_EQ(result.overloaded[0].expert, 2);
  EXPECT_EQ(result.overloaded[1].layer, 0);
}

TEST(Experts, CountsAreWholeUnlessWeighted) {
  // Shares of 49 times 49 are not all whole again in floating point.
  std::vector<int> counts(49, 1);
  Signatures s = test::signatures_from_counts({counts, counts, counts}, 1, 49, 1, {"", "", ""});
  const ExpertsResult result = expert_usage(s, {});
  EXPECT_EQ(result.counts, Matrix::Constant(1, 49, 3.0));
  s.layer_sums.setConstant(4.9);
  const ExpertsResult weighted = expert_usage(s, {.weighted = true});
  EXPECT_NEAR(weighted.counts(0, 7), 0.3, 1e-15);
}

TEST(Experts, ConstantExpertAndEveryExpert) {
  // Expert 0 is one of the two experts of every token: as much as one can have.
  const Signatures s = test::signatures_from_counts({{8, 4, 4, 0}}, 1, 4, 2, {"a"});
  EXPECT_EQ(expert_usage(s, {}).layers[0].busiest.share_over_uniform, 2);
  const Signatures all = test::signatures_from_counts({{8, 8}}, 1, 2, 2, {"a"});
  EXPECT_EQ(expert_usage(all, {}).layers[0].entropy, 1);
  EXPECT_TRUE(expert_usage(all, {}).notices.empty());
  const Signatures single = test::signatures_from_counts({{8}}, 1, 1, 1, {"a"});
  EXPECT_TRUE(std::isnan(expert_usage(single, {}).layers[0].entropy));
}

TEST(Experts, FewTokensAreSaid) {
  EXPECT_TRUE(expert_usage(four_prompts(), {}).notices.empty());
  const Signatures s = test::signatures_from_counts({{1, 0, 0, 0}}, 1, 4, 1, {"a"});
  ASSERT_EQ(expert_usage(s, {}).notices.size(), 1U);
  EXPECT_NE(expert_usage(s, {}).notices[0].find("only 1 token:"), std::string::npos);
}

TEST(Experts, SharesOfAnEmptyRowAreZero) {
  Matrix counts(2, 2);
  counts << 0, 0, 1, 3;
  Matrix expected(2, 2);
  expected << 0, 0, 0.25, 0.75;
  EXPECT_EQ(expert_shares(counts), expected);
}

}  // namespace
}  // namespace moexray::stats
