// What tests of labels look at, and that prompts whose lengths alone differ are told apart by none.
#include "moexray/stats/compared_prompts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "moexray/core/random.h"
#include "moexray/stats/baselines.h"
#include "moexray/stats/inference.h"
#include "moexray/stats/information.h"
#include "moexray/stats/layer_inference.h"
#include "stats_support.h"

namespace moexray::stats {
namespace {

constexpr RoutingShape shape{2, 6, 2};

struct Routed {
  Signatures signatures;
  RoutedTokens tokens;
};

// Prompts of categories, tokens each: whatever the category, a token's first choice is expert 0
// among the first ten tokens and mostly expert 1 later, its second is any of the others.
Routed routed(const std::vector<std::pair<std::string, int>>& prompts, std::uint64_t seed = 1,
              double effect = 0) {
  std::vector<PromptLabel> labels;
  for (const auto& [category, n] : prompts) {
    labels.push_back({"p" + std::to_string(labels.size()), category});
  }
  SignatureAccumulator signatures(shape, labels, {});
  TokenAccumulator tokens(shape, labels.size(), {});
  RandomStream random(seed);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    for (int t = 0; t < prompts[i].second; ++t) {
      for (int layer = 0; layer < shape.n_layers; ++layer) {
        const bool drawn = prompts[i].first == "a" && random.uniform() < effect;
        const auto other = static_cast<ExpertId>(drawn ? 2 : 2 + random.below(4));
        const std::vector<ExpertId> experts{random.uniform() < (t < 10 ? 1.0 : 0.2) ? 0 : 1, other};
        const RoutingRecord record{layer, t, TokenType::prompt, false, 5, experts, {}};
        signatures.add(i, record);
        tokens.add(i, record);
      }
    }
  }
  Routed result{std::move(signatures).finish(), {}};
  result.tokens = std::move(tokens).finish(result.signatures);
  return result;
}

std::vector<std::pair<std::string, int>> lengths_by_category(int short_ones, int long_ones) {
  std::vector<std::pair<std::string, int>> prompts;
  for (int i = 0; i < 10; ++i) {
    prompts.emplace_back("a", short_ones);
    prompts.emplace_back("b", long_ones);
  }
  return prompts;
}

ComparedPrompts compared(const Routed& r, std::span<const std::string> groups = {}) {
  return compared_prompts(r.tokens, r.signatures, groups, TokenSelection::all);
}

TEST(ComparedPrompts, AreThoseWithTheCommonPositions) {
  auto prompts = lengths_by_category(20, 40);
  prompts.emplace_back("b", 3);
  const Routed r = routed(prompts);
  std::vector<std::string> groups;
  for (std::size_t i = 0; i < prompts.size(); ++i) groups.push_back("g" + std::to_string(i / 2));
  const ComparedPrompts found = compared(r, groups);
  ASSERT_TRUE(found.comparable()) << found.check.reason;
  EXPECT_EQ(found.text(), "first 20 prompt tokens of 20 of 21 prompts");
  EXPECT_EQ(found.signatures.size(), 20U);
  EXPECT_EQ(found.groups, (std::vector<std::string>(groups.begin(), groups.end() - 1)));
  EXPECT_EQ(found.signatures.n_tokens, std::vector<std::int64_t>(20, 20));
}

TEST(ComparedPrompts, SayWhatIsMissing) {
  EXPECT_EQ(compared(routed(lengths_by_category(5, 40))).check.outcome, Comparability::lengths);
  EXPECT_EQ(compared(routed({{"", 20}, {"a", 20}})).check.outcome, Comparability::no_categories);
  EXPECT_EQ(compared(routed({{"a", 20}, {"a", 20}})).check.outcome, Comparability::one_category);
  // Small categories are compared as long as they lose nothing.
  EXPECT_TRUE(compared(routed({{"a", 20}, {"a", 20}, {"b", 20}, {"b", 30}})).comparable());
  auto prompts = lengths_by_category(40, 40);
  prompts.emplace_back("c", 40);
  prompts.emplace_back("c", 12);
  const ComparedPrompts lost = compared(routed(prompts));
  EXPECT_EQ(lost.check.outcome, Comparability::lengths);
  EXPECT_NE(lost.check.reason.find("\"c\" keeps 1 of 2 prompts"), std::string::npos)
      << lost.check.reason;
  EXPECT_NE(lost.check.reason.find("--common-tokens 12"), std::string::npos) << lost.check.reason;
}

InferenceResult inferred(const Routed& r, const ComparedPrompts& what) {
  const std::vector<std::string> texts(r.signatures.size());
  return inference(
      {r.signatures, r.tokens, what, {}, texts},
      {.n_resamples = 19, .n_permutations = 199, .n_null_draws = 4, .n_rarefactions = 4});
}

TEST(ComparedPrompts, NoTestTellsLengthsForADifference) {
  int n_gap = 0, n_layers = 0, n_permanova = 0, n_permdisp = 0, n_shuffle = 0, n_bits = 0;
  int n_whole = 0;
  constexpr int n_sets = 40;
  for (int i = 0; i < n_sets; ++i) {
    const Routed r = routed(lengths_by_category(20, 80), static_cast<std::uint64_t>(i));
    const ComparedPrompts common = compared(r);
    ASSERT_TRUE(common.comparable());
    const InferenceResult found = inferred(r, common);
    n_gap += found.location.gap.p_value <= 0.05;
    n_permanova += found.location.permanova.p_value <= 0.05;
    n_permdisp += found.dispersion.f.p_value <= 0.05;
    n_layers += found.layers[0].p_adjusted <= 0.05 || found.layers[1].p_adjusted <= 0.05;
    n_shuffle +=
        baselines(r.signatures, common, {.n_draws = 1, .n_shuffles = 199}).label_shuffle.p_value <=
        0.05;
    const auto bits =
        information(r.signatures, common, {.n_repetitions = 0, .n_permutations = 240});
    n_bits += std::ranges::any_of(bits.experts, [](const auto& e) { return e.q_value <= 0.05; });
    n_whole += inferred(r, whole_prompts(r.signatures, {})).location.gap.p_value <= 0.05;
  }
  // 5% of 40 are 2; 7 or more come by chance once in 300.
  for (const int n : {n_gap, n_layers, n_permanova, n_permdisp, n_shuffle, n_bits}) EXPECT_LE(n, 6);
  EXPECT_EQ(n_whole, n_sets) << "the world does not show what this is about";
}

TEST(ComparedPrompts, ADifferenceIsFoundThere) {
  const Routed r = routed(lengths_by_category(20, 80), 3, 0.5);
  const ComparedPrompts common = compared(r);
  EXPECT_LE(inferred(r, common).location.gap.p_value, 0.05);
  const LayerInference layers =
      infer_layers(r.signatures, common, {}, {.n_permutations = 199, .n_resamples = 19});
  EXPECT_LE(layers.tests[0].p_adjusted, 0.05);
}

TEST(ComparedPrompts, WhatCannotBeComparedIsNotTested) {
  const Routed r = routed(lengths_by_category(4, 40));
  const ComparedPrompts nothing = compared(r);
  ASSERT_FALSE(nothing.comparable());
  const InferenceResult found = inferred(r, nothing);
  EXPECT_TRUE(std::isnan(found.location.gap.p_value));
  EXPECT_TRUE(std::isnan(found.dispersion.f.p_value));
  ASSERT_EQ(found.layers.size(), 2U);
  EXPECT_TRUE(std::isnan(found.layers[0].p_adjusted));
  EXPECT_FALSE(std::isnan(found.bootstrap.gap.estimate));
  EXPECT_TRUE(std::ranges::any_of(found.notices, [](const std::string& notice) {
    return notice.starts_with("no test of labels: ");
  }));
  EXPECT_TRUE(std::isnan(
      baselines(r.signatures, nothing, {.n_draws = 1, .n_shuffles = 9}).label_shuffle.p_value));
  const auto bits = information(r.signatures, nothing, {.n_repetitions = 0, .n_permutations = 9});
  EXPECT_TRUE(std::isnan(bits.experts[0].p_value));
  EXPECT_FALSE(std::isnan(bits.experts[0].bits));
  EXPECT_EQ(infer_layers(r.signatures, nothing, {}, {.n_permutations = 9, .n_resamples = 9})
                .tests_left_out,
            nothing.check.reason);
}

TEST(ComparedPrompts, CountsAreComparedWhereAllPromptsHaveAsManyTokens) {
  Signatures s = test::random_signatures(test::mixed_categories({6, 6}, 1), 2);
  std::fill(s.n_tokens.begin(), s.n_tokens.end(), 20);
  const ComparedPrompts same = counted_prompts(s, {});
  EXPECT_TRUE(same.comparable());
  EXPECT_EQ(same.text(), "all 20 tokens");
  EXPECT_EQ(same.positions.rows.size(), 12U);
  EXPECT_EQ(same.units.size(), 12);
  s.n_tokens[3] = 21;
  const ComparedPrompts longer = counted_prompts(s, {});
  EXPECT_EQ(longer.check.outcome, Comparability::lengths);
  EXPECT_NE(longer.check.reason.find("20 to 21 tokens"), std::string::npos);
  s.n_tokens[3] = 0;
  EXPECT_NE(counted_prompts(s, {}).check.reason.find("unknown"), std::string::npos);
  s.categories[0].clear();
  EXPECT_EQ(counted_prompts(s, {}).check.outcome, Comparability::no_categories);
}

}  // namespace
}  // namespace moexray::stats
