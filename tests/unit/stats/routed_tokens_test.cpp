#include "moexray/stats/routed_tokens.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/expect_error.h"

namespace moexray::stats {
namespace {

using test::expect_error;

constexpr RoutingShape shape{2, 4, 2};

Signatures signatures_of(std::vector<std::size_t> prompt_indices) {
  Signatures signatures;
  for (const std::size_t i : prompt_indices) signatures.ids.push_back("p" + std::to_string(i));
  signatures.prompt_indices = std::move(prompt_indices);
  return signatures;
}

void add(TokenAccumulator& accumulator, std::size_t prompt, int layer, std::int64_t pos,
         std::vector<ExpertId> experts, bool is_template = false) {
  accumulator.add(
      prompt,
      {layer, pos, TokenType::prompt, is_template, static_cast<TokenId>(10 + pos), experts, {}});
}

TEST(RoutedTokens, AreOrderedByPromptPositionAndLayer) {
  TokenAccumulator accumulator(shape, 3, {.exclude_template = true});
  add(accumulator, 2, 1, 1, {3, 2});
  add(accumulator, 2, 0, 1, {1, 2});
  add(accumulator, 2, 1, 0, {0, 2}, true);
  add(accumulator, 2, 0, 0, {0, 1}, true);
  add(accumulator, 0, 0, 5, {2, 1});
  add(accumulator, 0, 1, 5, {2, 3});
  const RoutedTokens tokens = std::move(accumulator).finish(signatures_of({0, 2}));
  EXPECT_EQ(tokens.n_prompts(), 2U);
  EXPECT_EQ(tokens.first, (std::vector<std::size_t>{0, 1, 3}));
  EXPECT_EQ(tokens.experts, (std::vector<std::uint16_t>{2, 1, 2, 3, 0, 1, 0, 2, 1, 2, 3, 2}));
  EXPECT_EQ(tokens.at(2, 1)[0], 3);
  EXPECT_EQ(tokens.of_prompt(1).size(), 2U);
  EXPECT_FALSE(tokens.of_prompt(1)[0].selected);
  EXPECT_TRUE(tokens.of_prompt(1)[1].selected);
  EXPECT_EQ(tokens.of_prompt(1)[1].id, 11);
  EXPECT_TRUE(tokens.has_ids());
}

TEST(RoutedTokens, OnlySelectedTokensNeedIds) {
  TokenAccumulator accumulator({1, 4, 1}, 1, {.exclude_template = true});
  const std::vector<ExpertId> experts{1};
  accumulator.add(0, {0, 0, TokenType::prompt, true, -1, experts, {}});
  accumulator.add(0, {0, 1, TokenType::prompt, false, 7, experts, {}});
  EXPECT_TRUE(std::move(accumulator).finish(signatures_of({0})).has_ids());
  TokenAccumulator without({1, 4, 1}, 1, {});
  without.add(0, {0, 0, TokenType::prompt, false, -1, experts, {}});
  EXPECT_FALSE(std::move(without).finish(signatures_of({0})).has_ids());
}

TEST(RoutedTokens, RefuseTokensWithoutOneRecordAtEveryLayer) {
  TokenAccumulator missing(shape, 1, {});
  add(missing, 0, 0, 0, {0, 1});
  expect_error(ErrorKind::data, "prompt \"p0\", position 0",
               [&] { std::move(missing).finish(signatures_of({0})); });
  TokenAccumulator gap(shape, 1, {});
  add(gap, 0, 0, 0, {0, 1});
  add(gap, 0, 0, 1, {0, 1});
  expect_error(ErrorKind::data, "every layer", [&] { std::move(gap).finish(signatures_of({0})); });
  TokenAccumulator twice(shape, 1, {});
  add(twice, 0, 0, 0, {0, 1});
  add(twice, 0, 0, 0, {0, 1});
  expect_error(ErrorKind::data, "every layer",
               [&] { std::move(twice).finish(signatures_of({0})); });
}

// Records of one token in any order: what is kept of weights and logits goes with them.
TEST(RoutedTokens, KeepWhatIsAskedForOfWeightsAndLogits) {
  TokenAccumulator accumulator(shape, 1, {}, {.weights = true, .logits = true});
  const auto add_weighed = [&](int layer, std::vector<ExpertId> experts, std::vector<float> weights,
                               std::vector<float> logits) {
    accumulator.add(0, {layer, 0, TokenType::prompt, false, 7, experts, weights}, logits);
  };
  add_weighed(1, {3, 2}, {0.3F, 0.1F}, {0, 1, 2, 3});
  add_weighed(0, {0, 1}, {1, 1}, {5, 4, 1, 2});
  const RoutedTokens tokens = std::move(accumulator).finish(signatures_of({0}));
  EXPECT_EQ(tokens.weights_at(0, 0)[0], 32'768);
  EXPECT_EQ(tokens.weights_at(0, 1)[0], 49'151);
  EXPECT_EQ(tokens.weights_at(0, 1)[1], 16'384);
  EXPECT_EQ(tokens.next_experts, (std::vector<std::uint16_t>{3, 2, 1, 0}));
  EXPECT_NEAR(tokens.margins[1],
              (std::exp(2.0) - std::exp(1.0)) / (1 + std::exp(1.0) + std::exp(2.0) + std::exp(3.0)),
              1e-6);
  const RoutedTokens first = first_experts(tokens, 1);
  EXPECT_EQ(first.experts, (std::vector<std::uint16_t>{0, 3}));
  EXPECT_EQ(first.weight_shares, (std::vector<std::uint16_t>{32'768, 49'151}));
  EXPECT_TRUE(first.next_experts.empty());

  TokenAccumulator some(shape, 1, {}, {.weights = true, .logits = true});
  const std::vector<ExpertId> experts{0, 1};
  const std::vector<float> weights{0.5F, 0.5F};
  some.add(0, {0, 0, TokenType::prompt, false, 7, experts, weights});
  some.add(0, {1, 0, TokenType::prompt, false, 7, experts, {}});
  EXPECT_TRUE(std::move(some).finish(signatures_of({0})).weight_shares.empty());
  TokenAccumulator wrong(shape, 1, {}, {.weights = true, .logits = true});
  const std::vector<float> three{0, 0, 0};
  expect_error(ErrorKind::data, "router logits: expected 4, found 3",
               [&] { wrong.add(0, {0, 0, TokenType::prompt, false, 7, experts, {}}, three); });
}

TEST(RoutedTokens, RefuseRecordsOutOfRange) {
  TokenAccumulator accumulator(shape, 1, {});
  expect_error(ErrorKind::data, "out of range", [&] { add(accumulator, 1, 0, 0, {0, 1}); });
  expect_error(ErrorKind::data, "layer 2", [&] { add(accumulator, 0, 2, 0, {0, 1}); });
  expect_error(ErrorKind::data, "1 experts", [&] { add(accumulator, 0, 0, 0, {0}); });
  expect_error(ErrorKind::data, "expert", [&] { add(accumulator, 0, 0, 0, {0, 4}); });
  expect_error(ErrorKind::data, "65536", [] { TokenAccumulator({1, 70'000, 1}, 1, {}); });
}

}  // namespace
}  // namespace moexray::stats
