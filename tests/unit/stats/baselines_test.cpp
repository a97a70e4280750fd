#include "moexray/stats/baselines.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "stats_support.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

// With label shuffles of whole prompts.
BaselinesResult baselines_of(const Signatures& signatures, const BaselineOptions& options) {
  return baselines(signatures, whole_prompts(signatures, {}), options);
}

// Prompts with these numbers of tokens, each a row of [prompt][layer], all sent to the first k
// experts.
Signatures prompts_of(const std::vector<std::vector<int>>& tokens, int n_experts, int top_k) {
  const auto n_layers = static_cast<int>(tokens[0].size());
  std::vector<std::vector<int>> counts;
  std::vector<std::string> categories;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::vector<int> row;
    for (const int n : tokens[i]) {
      for (int e = 0; e < n_experts; ++e) row.push_back(e < top_k ? n : 0);
    }
    counts.push_back(row);
    categories.push_back(i % 2 == 0 ? "even" : "odd");
  }
  return test::signatures_from_counts(counts, n_layers, n_experts, top_k, categories);
}

double plain_cosine(const std::vector<double>& a, const std::vector<double>& b) {
  double dot = 0;
  double norm_a = 0;
  double norm_b = 0;
  for (std::size_t e = 0; e < a.size(); ++e) {
    dot += a[e] * b[e];
    norm_a += a[e] * a[e];
    norm_b += b[e] * b[e];
  }
  return dot / std::sqrt(norm_a * norm_b);
}

struct Moments {
  double mean;
  double std;
};

// Pairs of uniformly routed prompts of one layer, with the standard library's generator.
Moments plain_load_balance(int n_tokens, int n_experts, int top_k, bool distinct) {
  std::mt19937_64 random(11);
  const auto count = [&] {
    std::vector<double> counts(static_cast<std::size_t>(n_experts), 0.0);
    std::vector<std::size_t> experts(counts.size());
    for (std::size_t e = 0; e < experts.size(); ++e) experts[e] = e;
    for (int token = 0; token < n_tokens; ++token) {
      std::shuffle(experts.begin(), experts.end(), random);
      for (std::size_t i = 0; i < static_cast<std::size_t>(top_k); ++i) {
        ++counts[distinct ? experts[i] : random() % counts.size()];
      }
    }
    return counts;
  };
  constexpr int n_pairs = 60000;
  double sum = 0;
  double squares = 0;
  for (int pair = 0; pair < n_pairs; ++pair) {
    const double cosine = plain_cosine(count(), count());
    sum += cosine;
    squares += cosine * cosine;
  }
  const double mean = sum / n_pairs;
  return {mean, std::sqrt(squares / n_pairs - mean * mean)};
}

void expect_same(const SimulatedSimilarity& a, const SimulatedSimilarity& b) {
  EXPECT_EQ(a.mean, b.mean);
  EXPECT_EQ(a.std, b.std);
  EXPECT_EQ(a.draw_std, b.draw_std);
}

void expect_undefined(const SimulatedSimilarity& simulated) {
  EXPECT_TRUE(std::isnan(simulated.mean));
  EXPECT_TRUE(std::isnan(simulated.std));
  EXPECT_TRUE(std::isnan(simulated.draw_std));
}

TEST(Baselines, LoadBalanceIsUniformRouting) {
  for (const auto& [n_tokens, n_experts, top_k] :
       {std::array{1, 5, 2}, {4, 5, 3}, {3, 8, 1}, {10, 12, 4}}) {
    for (const bool distinct : {true, false}) {
      SCOPED_TRACE(testing::Message() << n_tokens << " tokens, " << top_k << " of " << n_experts
                                      << (distinct ? " distinct" : " multinomial"));
      const Signatures s =
          prompts_of(std::vector<std::vector<int>>(30, {n_tokens}), n_experts, top_k);
      const BaselinesResult result = baselines_of(
          s, {.n_draws = 200,
              .n_shuffles = 1,
              .load_balance = distinct ? LoadBalance::distinct : LoadBalance::multinomial});
      const Moments expected = plain_load_balance(n_tokens, n_experts, top_k, distinct);
      EXPECT_NEAR(result.load_balance.all.mean, expected.mean, 0.006);
      EXPECT_NEAR(result.load_balance.all.std, expected.std, 0.006);
    }
  }
}

TEST(Baselines, ClosedFormAgreesWithSimulation) {
  for (const auto& [n_experts, top_k] :
       {std::pair{64, 8}, {8, 2}, {16, 1}, {6, 5}, {8, 8}, {128, 4}}) {
    for (const int n_tokens : {8, 16, 38, 64}) {
      SCOPED_TRACE(testing::Message() << n_tokens << " tokens, " << top_k << " of " << n_experts);
      const Signatures s =
          prompts_of(std::vector<std::vector<int>>(24, {n_tokens, n_tokens}), n_experts, top_k);
      const BaselinesResult result = baselines_of(s, {.n_draws = 100, .n_shuffles = 1});
      EXPECT_NEAR(result.load_balance.expected, result.load_balance.all.mean, 0.005);
      EXPECT_LT(result.load_balance.all.draw_std / 10, 0.002);
    }
  }
}

TEST(Baselines, ClosedFormAgreesForUnequalTokens) {
  std::vector<std::vector<int>> tokens;
  for (int i = 0; i < 30; ++i) tokens.push_back({8 + i, 8 + 3 * i});
  const Signatures s = prompts_of(tokens, 32, 4);
  for (const LoadBalance model : {LoadBalance::distinct, LoadBalance::multinomial}) {
    const BaselinesResult result =
        baselines_of(s, {.n_draws = 60, .n_shuffles = 1, .load_balance = model});
    EXPECT_NEAR(result.load_balance.expected, result.load_balance.all.mean, 0.005);
    // The average over pairs and layers, by a loop.
    double sum = 0;
    for (std::size_t a = 0; a < tokens.size(); ++a) {
      for (std::size_t b = 0; b < a; ++b) {
        for (const std::size_t layer : {0, 1}) {
          sum += uniform_factor(s.shape, tokens[a][layer], model) *
                 uniform_factor(s.shape, tokens[b][layer], model);
        }
      }
    }
    EXPECT_NEAR(result.load_balance.expected, sum / 2 / 435, 1e-12);
  }
}

TEST(Baselines, PaperShapeGivesTheKnownNumbers) {
  const RoutingShape olmoe{16, 64, 8};
  const auto similarity = [&](int n_tokens) {
    return std::pow(uniform_factor(olmoe, n_tokens, LoadBalance::distinct), 2);
  };
  EXPECT_NEAR(similarity(31), 0.816, 0.001);
  EXPECT_NEAR(similarity(38), 0.845, 0.001);
  EXPECT_NEAR(similarity(64), 0.901, 0.001);
  EXPECT_NEAR(std::pow(uniform_factor(olmoe, 64, LoadBalance::multinomial), 2), 1 / (1 + 63. / 512),
              1e-15);
}

TEST(Baselines, PermutationHasItsExpectation) {
  const Signatures s = test::random_signatures(test::mixed_categories({8, 7, 9}, 1), 2);
  const BaselinesResult result = baselines_of(s, {.n_draws = 400, .n_shuffles = 1});
  const PermutationBaseline& permutation = result.permutation;
  EXPECT_NEAR(permutation.all.mean, permutation.expected, 4 * permutation.all.draw_std / 20);
  EXPECT_LT(permutation.all.draw_std, 0.02);
  EXPECT_GT(permutation.all.std, 0.01);
  // Permuting leaves no trace of the categories.
  EXPECT_NEAR(permutation.within.mean, permutation.across.mean, 0.005);
}

TEST(Baselines, PermutationExpectationIsExact) {
  const Signatures s =
      test::signatures_from_counts({{1, 0, 5, 2}, {3, 3, 1, 1}}, 1, 4, 1, {"a", "b"});
  std::vector<double> a{1, 0, 5, 2};
  std::vector<int> order{0, 1, 2, 3};
  double sum = 0;
  int n = 0;
  do {
    std::vector<double> permuted;
    for (const int e : order) permuted.push_back(a[static_cast<std::size_t>(e)]);
    sum += plain_cosine(permuted, {3, 3, 1, 1});
    ++n;
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_NEAR(expected_permuted_similarity(s), sum / n, 1e-15);
}

TEST(Baselines, ObservedNumbersAreThoseOfSimilarity) {
  const Signatures s = test::random_signatures(test::mixed_categories({8, 7, 9}, 3), 4);
  const SimilarityResult similar = similarity(s);
  const BaselinesResult result = baselines_of(s, {.n_draws = 2, .n_shuffles = 9});
  EXPECT_EQ(result.within.mean, similar.within.mean);
  EXPECT_EQ(result.across.std, similar.across.std);
  EXPECT_NEAR(result.label_shuffle.gap, similar.gap, 1e-14);
}

TEST(Baselines, MeanOnlyDrawsAreTheSameDraws) {
  const Signatures s = test::random_signatures(test::mixed_categories({8, 1, 9}, 5), 6);
  const BaselinesResult all = baselines_of(s, {.n_draws = 12, .n_shuffles = 1, .n_std_draws = 0});
  const BaselinesResult few = baselines_of(s, {.n_draws = 12, .n_shuffles = 1, .n_std_draws = 3});
  EXPECT_EQ(all.n_std_draws, 12);
  EXPECT_EQ(few.n_std_draws, 3);
  ASSERT_FALSE(few.notices.empty());
  EXPECT_NE(few.notices.back().find("3 of the 12 draws"), std::string::npos);
  for (const auto& [a, b] : {std::pair{all.permutation.within, few.permutation.within},
                             {all.permutation.across, few.permutation.across},
                             {all.permutation.all, few.permutation.all},
                             {all.load_balance.all, few.load_balance.all}}) {
    EXPECT_NEAR(a.mean, b.mean, 1e-13);
    EXPECT_NEAR(a.draw_std, b.draw_std, 1e-12);
    EXPECT_NE(a.std, b.std);
    EXPECT_NEAR(a.std / b.std, 1, 0.2);
  }
}

TEST(Baselines, StatisticsOfAllPairsPoolBothKinds) {
  // One draw: its pooled numbers are those of all pairs, which one category gives as "within".
  Signatures s = test::random_signatures(test::mixed_categories({8, 1, 9}, 7), 8);
  const BaselinesResult two_kinds = baselines_of(s, {.n_draws = 1, .n_shuffles = 1});
  s.categories.assign(s.size(), "a");
  const BaselinesResult one_kind = baselines_of(s, {.n_draws = 1, .n_shuffles = 1});
  EXPECT_NEAR(two_kinds.permutation.all.mean, one_kind.permutation.within.mean, 1e-13);
  EXPECT_NEAR(two_kinds.permutation.all.std, one_kind.permutation.within.std, 1e-12);
  EXPECT_NEAR(two_kinds.load_balance.all.std, one_kind.load_balance.all.std, 1e-12);
  EXPECT_TRUE(std::isnan(two_kinds.permutation.all.draw_std));
}

TEST(Baselines, ThreadsChangeNothing) {
  const Signatures s = test::random_signatures(test::mixed_categories({9, 7, 12}, 9), 10);
  BaselineOptions options{.n_draws = 13, .n_shuffles = 999, .seed = 3, .n_std_draws = 7};
  const BaselinesResult one = baselines_of(s, options);
  options.n_threads = 4;
  const BaselinesResult four = baselines_of(s, options);
  expect_same(one.permutation.within, four.permutation.within);
  expect_same(one.permutation.across, four.permutation.across);
  expect_same(one.permutation.all, four.permutation.all);
  expect_same(one.load_balance.all, four.load_balance.all);
  EXPECT_EQ(one.label_shuffle.p_value, four.label_shuffle.p_value);
  EXPECT_EQ(one.ordering, four.ordering);
  options.seed = 4;
  EXPECT_NE(baselines_of(s, options).permutation.all.mean, one.permutation.all.mean);
}

TEST(Baselines, OrderOfPromptsChangesRoundingAlone) {
  const Signatures s =
      test::random_signatures(test::mixed_categories({9, 7}, 11), 12, {.effect = 0.1});
  Signatures reversed = s;
  reversed.values = s.values.colwise().reverse();
  reversed.layer_tokens = s.layer_tokens.colwise().reverse();
  std::reverse(reversed.ids.begin(), reversed.ids.end());
  std::reverse(reversed.categories.begin(), reversed.categories.end());
  const BaselineOptions options{.n_draws = 5, .n_shuffles = 999};
  const BaselinesResult a = baselines_of(s, options);
  const BaselinesResult b = baselines_of(reversed, options);
  EXPECT_NEAR(a.permutation.within.mean, b.permutation.within.mean, 1e-13);
  EXPECT_NEAR(a.load_balance.all.std, b.load_balance.all.std, 1e-12);
  EXPECT_EQ(a.label_shuffle.p_value, b.label_shuffle.p_value);
}

TEST(Baselines, OrderingNamesTheLeastSimilarFirst) {
  const Signatures s = test::random_signatures(test::mixed_categories({8, 7, 9}, 13), 14);
  const BaselinesResult result = baselines_of(s, {.n_draws = 5, .n_shuffles = 9});
  std::vector<std::pair<double, std::string>> expected{
      {result.within.mean, "within"},
      {result.across.mean, "across"},
      {result.permutation.all.mean, "permutation"},
      {result.load_balance.all.mean, "load_balance"}};
  std::sort(expected.begin(), expected.end());
  ASSERT_EQ(result.ordering.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(result.ordering[i], expected[i].second);
}

TEST(Baselines, EveryExpertForEveryTokenIsAlwaysTheSame) {
  const Signatures s = prompts_of({{3}, {5}, {9}}, 4, 4);
  const BaselinesResult result = baselines_of(s, {.n_draws = 3, .n_shuffles = 99});
  EXPECT_EQ(result.load_balance.expected, 1);
  EXPECT_NEAR(result.load_balance.all.mean, 1, 1e-15);
  EXPECT_NEAR(result.permutation.expected, 1, 1e-15);
  EXPECT_NEAR(result.permutation.all.std, 0, 1e-15);
  EXPECT_EQ(result.label_shuffle.p_value, 1);
}

TEST(Baselines, SmallDataLeaveNumbersUndefined) {
  const BaselinesResult one_category =
      baselines_of(test::random_signatures({"a", "a", "a"}, 1), {.n_draws = 4, .n_shuffles = 9});
  EXPECT_FALSE(std::isnan(one_category.permutation.within.mean));
  expect_undefined(one_category.permutation.across);
  EXPECT_TRUE(std::isnan(one_category.label_shuffle.p_value));
  EXPECT_EQ(one_category.ordering.size(), 3U);
  ASSERT_FALSE(one_category.notices.empty());
  EXPECT_NE(one_category.notices[0].find("only one category"), std::string::npos);

  const BaselinesResult one_prompt =
      baselines_of(test::random_signatures({"a"}, 1), {.n_draws = 4, .n_shuffles = 9});
  expect_undefined(one_prompt.permutation.all);
  expect_undefined(one_prompt.load_balance.all);
  EXPECT_TRUE(std::isnan(one_prompt.load_balance.expected));
  EXPECT_TRUE(std::isnan(one_prompt.permutation.expected));
  EXPECT_TRUE(one_prompt.ordering.empty());

  const BaselinesResult all_different =
      baselines_of(test::random_signatures({"a", "b", "c"}, 1), {.n_draws = 4, .n_shuffles = 9});
  expect_undefined(all_different.permutation.within);
  EXPECT_FALSE(std::isnan(all_different.load_balance.all.mean));
  EXPECT_TRUE(std::isnan(all_different.label_shuffle.gap));
}

TEST(Baselines, SingleExpertAndLayer) {
  const Signatures s = prompts_of({{3}, {5}, {9}, {2}}, 1, 1);
  const BaselinesResult result = baselines_of(s, {.n_draws = 3, .n_shuffles = 9});
  EXPECT_EQ(result.load_balance.expected, 1);
  EXPECT_EQ(result.load_balance.all.mean, 1);
  EXPECT_EQ(result.permutation.all.mean, 1);
}

TEST(Baselines, NeedCategories) {
  Signatures s = test::random_signatures({"a", "b"}, 1);
  s.categories[1] = "";
  test::expect_error(ErrorKind::data, "without a category", [&] { baselines_of(s, {}); });
}

TEST(Baselines, EndWhenAsked) {
  const std::atomic<bool> stop{true};
  const Signatures s = test::random_signatures(test::mixed_categories({5, 5}, 1), 2);
  test::expect_error(ErrorKind::interrupted, "interrupted",
                     [&] { baselines_of(s, {.n_threads = 2, .stop = &stop}); });
}

TEST(Baselines, EqualMeansAreOneGroup) {
  // Every token takes every expert: all similarities are 1, whatever their last digit.
  const Signatures all =
      test::signatures_from_counts(std::vector<std::vector<int>>(6, {7, 7, 7, 7, 7, 7}), 2, 3, 3,
                                   {"a", "a", "a", "b", "b", "b"});
  const BaselinesResult result = baselines_of(all, {.n_draws = 5, .n_shuffles = 9});
  const std::vector<std::string> names{"within", "across", "permutation", "load_balance"};
  EXPECT_EQ(result.ordering_groups, (std::vector<std::vector<std::string>>{names}));
  EXPECT_EQ(result.ordering, names);
  // The same prompts in both categories, and other baselines.
  const Signatures some = test::signatures_from_counts(
      std::vector<std::vector<int>>(4, {5, 1, 0, 2, 4, 0}), 2, 3, 1, {"a", "a", "b", "b"});
  const BaselinesResult found = baselines_of(some, {.n_draws = 5, .n_shuffles = 9});
  EXPECT_EQ(found.ordering_groups.back(), (std::vector<std::string>{"within", "across"}));
  EXPECT_EQ(found.ordering.size(), 4U);
}

}  // namespace
}  // namespace moexray::stats
