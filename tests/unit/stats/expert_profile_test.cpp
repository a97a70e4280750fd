#include "moexray/stats/expert_profile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "expert_cases.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

// Type 0, 1 or 2 by position; the router weight of every token is its number over 1000.
struct Case {
  bench::ExpertWorld world;
  std::vector<int> units;
  std::vector<std::int32_t> types;
  std::vector<float> weights;

  explicit Case(int top_k = 3) {
    world = bench::expert_world(
        {.n_prompts = {5, 5}, .n_tokens = {9, 14}, .n_layers = 2, .n_experts = 6, .top_k = top_k},
        11);
    for (int i = 0; i < 10; ++i) units.push_back(i);
    for (std::size_t t = 0; t < world.tokens.tokens.size(); ++t) {
      types.push_back(static_cast<std::int32_t>(world.tokens.tokens[t].pos % 3));
      weights.push_back(static_cast<float>(t) / 1000);
    }
  }
  ExpertProfileInput input() const {
    return {.tokens = world.tokens, .unit_of_prompt = units, .types = types, .weights = weights};
  }
  bool selects(std::size_t token, int expert) const {
    const auto experts = world.tokens.at(token, 1);
    return std::find(experts.begin(), experts.end(), expert) != experts.end();
  }
};

TEST(ExpertProfile, CountsAsPlainLoopsDo) {
  const Case c;
  const ExpertProfile profile = expert_profile(c.input(), {1, 4}, {.min_expected = 0});
  double n = 0;
  std::vector<double> of_type(3);
  std::vector<double> all_of_type(3);
  std::vector<double> together(6);
  std::vector<double> weights;
  for (std::size_t t = 0; t < c.types.size(); ++t) {
    const auto type = static_cast<std::size_t>(c.types[t]);
    all_of_type[type] += 1;
    if (!c.selects(t, 4)) continue;
    n += 1;
    of_type[type] += 1;
    weights.push_back(c.weights[t]);
    for (int e = 0; e < 6; ++e) together[static_cast<std::size_t>(e)] += c.selects(t, e) ? 1 : 0;
  }
  EXPECT_EQ(profile.all.count, n);
  EXPECT_EQ(profile.all.tokens, 115);
  EXPECT_LT(profile.all.ci95[0], profile.all.rate);
  ASSERT_EQ(profile.types.size(), 3U);
  for (const ExpertTokenType& type : profile.types) {
    const auto own = static_cast<std::size_t>(type.type);
    EXPECT_EQ(static_cast<double>(type.count), of_type[own]);
    EXPECT_NEAR(type.lift, of_type[own] / n / (all_of_type[own] / 115), 1e-12);
  }
  EXPECT_GE(profile.types[0].lift, profile.types[1].lift);
  ASSERT_EQ(profile.companions.size(), 5U);
  double expected = 0;
  for (const ExpertCompanion& companion : profile.companions) {
    EXPECT_EQ(static_cast<double>(companion.count),
              together[static_cast<std::size_t>(companion.expert)]);
    expected += companion.expected;
  }
  EXPECT_NEAR(expected, 2 * n, 1e-9);
  EXPECT_EQ(std::accumulate(profile.ranks.begin(), profile.ranks.end(), 0), static_cast<int>(n));
  std::sort(weights.begin(), weights.end());
  EXPECT_TRUE(profile.has_weights);
  EXPECT_GT(profile.weight_quantiles[2], profile.weight_quantiles[1]);
  EXPECT_GE(profile.weight_quantiles[0], weights.front());
}

TEST(ExpertProfile, PartsAndPositionsAddUp) {
  Case c;
  for (stats::RoutedToken& token : c.world.tokens.tokens) {
    token.is_template = token.pos == 0;
    if (token.pos > 6) token.type = TokenType::generation;
    token.selected = token.pos != 1;
  }
  const ExpertProfile profile = expert_profile(c.input(), {1, 2});
  std::vector<std::string> names;
  double n = 0;
  for (const ExpertRate& rate : profile.parts) {
    names.push_back(rate.name);
    n += rate.count;
  }
  EXPECT_EQ(names, (std::vector<std::string>{"prompt", "template", "generated"}));
  EXPECT_EQ(n, profile.all.count);
  names.clear();
  for (const ExpertRate& rate : profile.positions) names.push_back(rate.name);
  EXPECT_EQ(names, (std::vector<std::string>{"position 0", "positions 2–3", "positions 4–7",
                                             "positions 8–15"}));
  EXPECT_EQ(profile.positions[1].tokens, 20);
}

TEST(ExpertProfile, ContextsAreTheClearestOfEachPrompt) {
  Case c;
  const ExpertProfile profile = expert_profile(c.input(), {1, 4}, {.n_contexts = 4});
  ASSERT_EQ(profile.contexts.size(), 4U);
  // Weights grow with the token: the last use of the last prompts.
  for (std::size_t i = 0; i < 4; ++i) {
    const ExpertContext& context = profile.contexts[i];
    EXPECT_TRUE(c.selects(context.token, 4));
    if (i > 0) {
      EXPECT_GT(profile.contexts[i - 1].row, context.row);
    }
    for (std::size_t t = context.token + 1; t < c.world.tokens.first[context.row + 1]; ++t) {
      EXPECT_FALSE(c.selects(t, 4));
    }
  }
  c.weights.clear();
  const ExpertProfile by_rank = expert_profile(c.input(), {1, 4});
  EXPECT_FALSE(by_rank.has_weights);
  for (std::size_t i = 1; i < by_rank.contexts.size(); ++i) {
    EXPECT_LE(by_rank.contexts[i - 1].rank, by_rank.contexts[i].rank);
  }
}

TEST(ExpertProfile, RareTokensAndUnknownOnesAreNotListed) {
  Case c;
  std::fill(c.types.begin(), c.types.end(), -1);
  EXPECT_FALSE(expert_profile(c.input(), {1, 4}).has_types);
  // A type of one prompt.
  std::fill(c.types.begin(), c.types.end(), 7);
  std::fill(c.types.begin(), c.types.begin() + 9, 8);
  const ExpertProfile profile = expert_profile(c.input(), {1, 4});
  ASSERT_EQ(profile.types.size(), 1U);
  EXPECT_EQ(profile.types[0].type, 7);
  EXPECT_TRUE(expert_profile(Case(1).input(), {1, 4}).companions.empty());
}

TEST(ExpertProfile, OfEqualLiftsTheMostFrequentTypeIsFirst) {
  Case c;
  // Types 0 to 8 go to the expert always, of 1, 2, 3, … tokens; the others never.
  int n = 0;
  for (std::size_t t = 0; t < c.types.size(); ++t) {
    const int step = static_cast<int>((std::sqrt(8 * n + 1.0) - 1) / 2);
    c.types[t] = c.selects(t, 4) ? step : 99;
    n += c.selects(t, 4) ? 1 : 0;
  }
  const ExpertProfile profile = expert_profile(c.input(), {1, 4}, {.min_prompts = 1});
  ASSERT_GT(profile.types.size(), 7U);
  for (std::size_t i = 1; i < profile.types.size(); ++i) {
    EXPECT_NEAR(profile.types[i].lift, profile.types[0].lift, 1e-12);
    EXPECT_LE(profile.types[i].count, profile.types[i - 1].count);
  }
}

TEST(ExpertProfile, RefusesExpertsThatDoNotExist) {
  const Case c;
  for (const ExpertName name : {ExpertName{2, 0}, ExpertName{0, 6}, ExpertName{-1, 0}}) {
    test::expect_error(ErrorKind::runtime, "profile of an expert",
                       [&] { expert_profile(c.input(), name); });
  }
}

}  // namespace
}  // namespace moexray::stats
