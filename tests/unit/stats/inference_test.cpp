#include "moexray/stats/inference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "moexray/core/random.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

// Prompts of `n_tokens` tokens, one expert of eight each; categories prefer different ones.
struct Sampled {
  Signatures signatures;
  RoutedTokens tokens;
};

Sampled sampled(const std::vector<std::string>& categories, int n_tokens = 48, bool ids = true) {
  const RoutingShape shape{2, 8, 1};
  std::vector<PromptLabel> labels;
  for (std::size_t i = 0; i < categories.size(); ++i) {
    labels.push_back({"p" + std::to_string(i), categories[i]});
  }
  SignatureAccumulator signatures(shape, labels, {});
  TokenAccumulator tokens(shape, categories.size(), {});
  RandomStream random(4);
  for (std::size_t i = 0; i < categories.size(); ++i) {
    const int favourite = categories[i].empty() ? 0 : categories[i][0] - 'a';
    for (int t = 0; t < n_tokens; ++t) {
      for (int layer = 0; layer < 2; ++layer) {
        const std::vector<ExpertId> experts{
            random.uniform() < 0.1 ? favourite : static_cast<ExpertId>(random.below(8))};
        const RoutingRecord record{
            layer,
            t,
            TokenType::prompt,
            false,
            ids ? static_cast<TokenId>(1000 * i + static_cast<unsigned>(t)) : -1,
            experts,
            {}};
        signatures.add(i, record);
        tokens.add(i, record);
      }
    }
  }
  Sampled result{std::move(signatures).finish(), {}};
  result.tokens = std::move(tokens).finish(result.signatures);
  return result;
}

constexpr InferenceOptions few_draws{
    .n_resamples = 199, .n_permutations = 199, .n_null_draws = 5, .n_rarefactions = 3};

InferenceResult run(const Sampled& t, const std::vector<std::string>& groups = {},
                    std::vector<std::string> texts = {}) {
  texts.resize(t.signatures.size());
  const ComparedPrompts whole = whole_prompts(t.signatures, groups);
  return inference({t.signatures, t.tokens, whole, groups, texts}, few_draws);
}

bool says(const InferenceResult& result, const std::string& part) {
  return std::any_of(result.notices.begin(), result.notices.end(),
                     [&](const std::string& n) { return n.find(part) != std::string::npos; });
}

std::vector<std::string> repeated(const std::vector<std::pair<std::string, int>>& counts) {
  std::vector<std::string> result;
  for (const auto& [value, n] : counts)
    result.insert(result.end(), static_cast<std::size_t>(n), value);
  return result;
}

TEST(Inference, HasNothingToRemarkOnGoodData) {
  const InferenceResult found = run(sampled(repeated({{"a", 12}, {"b", 12}})));
  EXPECT_TRUE(found.notices.empty()) << found.notices[0];
  EXPECT_TRUE(found.bootstrap.gap.has_interval());
  EXPECT_GT(found.bootstrap.gap.low, 0);
  EXPECT_EQ(found.location.gap.p_value, 0.005);
  EXPECT_EQ(found.layers.size(), 2U);
  EXPECT_EQ(found.n_units, 24U);
  EXPECT_GT(found.bootstrap.within.estimate, found.uniform.within);
}

TEST(Inference, SmallSamplesAreSaid) {
  const InferenceResult found = run(sampled(repeated({{"a", 3}, {"b", 3}})));
  EXPECT_TRUE(
      says(found, "2 categories have 3 prompts (\"a\", \"b\"): below 10, intervals are rough"));
  EXPECT_TRUE(says(found, "no p-value of a relabelling can fall below about 0.1"));
}

TEST(Inference, OnePromptInACategory) {
  const InferenceResult found = run(sampled(repeated({{"a", 12}, {"b", 12}, {"c", 1}})));
  EXPECT_TRUE(says(found, "category \"c\" has one prompt: no pairs within"));
  EXPECT_TRUE(
      says(found, "category \"c\" has one prompt: no intervals of what compares categories"));
  EXPECT_FALSE(std::isnan(found.bootstrap.gap.estimate));
  EXPECT_FALSE(std::isnan(found.location.gap.p_value));
}

TEST(Inference, OneCategory) {
  const InferenceResult found = run(sampled(repeated({{"a", 12}})));
  EXPECT_TRUE(says(found, "only one category (\"a\")"));
  EXPECT_TRUE(found.bootstrap.within.has_interval());
  EXPECT_FALSE(found.bootstrap.gap.has_interval());
  EXPECT_TRUE(std::isnan(found.location.gap.p_value));
  EXPECT_TRUE(std::isnan(found.uniform.across));
}

TEST(Inference, MissingTokenIds) {
  EXPECT_TRUE(says(run(sampled(repeated({{"a", 12}, {"b", 12}}), 24, false)), "lacks token ids"));
}

TEST(Inference, FewTokens) {
  const InferenceResult found = run(sampled(repeated({{"a", 12}, {"b", 12}}), 6));
  EXPECT_TRUE(says(found, "leaves out 24 prompts with fewer than 16 tokens"));
  EXPECT_TRUE(says(found, "rarefaction keeps only 6 tokens"));
  EXPECT_TRUE(std::isnan(found.noise_corrected.within.mean));
}

// 8 experts, one a token: 48 tokens are enough, and 40 are not.
TEST(Inference, TellsTheExcessOfFewTokens) {
  const InferenceResult found = run(sampled(repeated({{"a", 12}, {"b", 12}}), 40));
  EXPECT_TRUE(says(found, "noise-corrected similarities are too high by about 0.01"));
  EXPECT_NEAR(found.noise_corrected.uniform_excess, 1.5 * 49 / (7 * 40 * 39), 1e-12);
}

TEST(Inference, GroupsWithinCategoriesAreTheUnits) {
  std::vector<std::string> groups;
  for (int i = 0; i < 24; ++i) groups.push_back("g" + std::to_string(i / 2));
  const InferenceResult found = run(sampled(repeated({{"a", 12}, {"b", 12}})), groups);
  EXPECT_EQ(found.n_units, 12U);
  EXPECT_TRUE(says(found, "every group lies within one category: 12 groups are the units"));
  EXPECT_TRUE(says(found, "2 categories have 6 units (\"a\", \"b\"): below 10"));
}

TEST(Inference, OneGroupACategorySaysNothing) {
  const InferenceResult found =
      run(sampled(repeated({{"a", 12}, {"b", 12}})), repeated({{"g", 12}, {"h", 12}}));
  EXPECT_TRUE(says(found, "categories and groups are one and the same"));
  EXPECT_TRUE(std::isnan(found.location.gap.p_value));
  EXPECT_FALSE(found.bootstrap.gap.has_interval());
  EXPECT_EQ(found.bootstrap.gap.reason, "2 categories have one unit (\"a\", \"b\")");
}

TEST(Inference, GroupsMayCrossCategories) {
  std::vector<std::string> groups;
  for (int i = 0; i < 24; ++i) groups.push_back("g" + std::to_string(i % 12));
  const InferenceResult found = run(sampled(repeated({{"a", 12}, {"b", 12}})), groups);
  EXPECT_FALSE(found.nested);
  EXPECT_TRUE(says(found, "groups hold prompts of several categories: 12 units"));
  EXPECT_TRUE(found.bootstrap.gap.has_interval());
  EXPECT_EQ(found.location.gap.p_value, 0.005);
}

TEST(Inference, SpreadMayExplainPermanova) {
  // b's prompts are all alike, a's are not, and there are three times as many.
  Sampled t = sampled(repeated({{"a", 30}, {"b", 10}}), 200);
  for (Eigen::Index i = 31; i < 40; ++i) t.signatures.values.row(i) = t.signatures.values.row(30);
  for (Eigen::Index i = 0; i < 30; ++i) {
    t.signatures.values.row(i).array() += 0.4 * (i % 8 == 0 ? 1 : 0);
    t.signatures.values(i, i % 8) += 1;
    t.signatures.values(i, 8 + i % 8) += 1;
  }
  const InferenceResult found = run(t);
  ASSERT_LT(found.dispersion.f.p_value, 0.05);
  EXPECT_FALSE(found.permanova_is_location);
  EXPECT_TRUE(says(found, "PERMANOVA's p-value is no evidence of a difference in location"));
  // With equal sizes PERMANOVA stands.
  EXPECT_TRUE(run(sampled(repeated({{"a", 12}, {"b", 12}}))).permanova_is_location);
}

TEST(Inference, NamesNearDuplicates) {
  Sampled t = sampled(repeated({{"a", 12}, {"b", 12}}));
  t.signatures.values.row(7) = t.signatures.values.row(2);
  std::vector<std::string> texts(24);
  texts[3] = texts[20] = "the same";
  const InferenceResult found = run(t, {}, texts);
  ASSERT_EQ(found.near_duplicates.n_pairs, 2);
  EXPECT_EQ(found.near_duplicates.pairs[0].row, 3U);
  EXPECT_EQ(found.near_duplicates.pairs[0].other, 20U);
  EXPECT_TRUE(found.near_duplicates.pairs[0].equal_text);
  EXPECT_EQ(found.near_duplicates.pairs[1].row, 2U);
  EXPECT_NEAR(found.near_duplicates.pairs[1].similarity, 1, 1e-12);
  EXPECT_TRUE(says(found, "2 pairs of prompts nearly the same"));
}

TEST(NearDuplicates, KeepTheMostSimilar) {
  Matrix similarity = Matrix::Constant(5, 5, 0.991);
  similarity(1, 3) = similarity(3, 1) = 0.999;
  similarity(0, 4) = similarity(4, 0) = 0.5;
  const std::vector<std::string> texts{"x", "", "", "", "x"};
  const NearDuplicates found = near_duplicates(similarity, texts, 2);
  EXPECT_EQ(found.n_pairs, 10);
  ASSERT_EQ(found.pairs.size(), 2U);
  EXPECT_TRUE(found.pairs[0].equal_text);
  EXPECT_EQ(found.pairs[1].similarity, 0.999);
}

TEST(Inference, DrawsAreFewerForManyPrompts) {
  Signatures s;
  const auto of = [&](Eigen::Index n) {
    s.shape = {16, 64, 8};
    s.values.resize(n, 1024);
    s.ids.assign(static_cast<std::size_t>(n), "p");
    s.n_tokens.assign(static_cast<std::size_t>(n), 40);
    return affordable({.n_resamples = 999, .n_permutations = 999}, s);
  };
  EXPECT_EQ(of(80).n_resamples, 999);
  EXPECT_EQ(of(80).n_permutations, 999);
  EXPECT_EQ(of(80).n_rarefactions, 20);
  EXPECT_EQ(of(10'000).n_resamples, 199);
  EXPECT_EQ(of(10'000).n_permutations, 199);
  EXPECT_EQ(of(10'000).n_rarefactions, 4);
}

TEST(Inference, RefusesTooManyPrompts) {
  Signatures s;
  s.ids.resize(10'001);
  const RoutedTokens tokens;
  test::expect_error(ErrorKind::data, "at most 10000",
                     [&] { inference({s, tokens, {}, {}, {}}, few_draws); });
}

TEST(Inference, RefusesPromptsWithoutACategory) {
  const Sampled t = sampled({"a", "a", ""});
  test::expect_error(ErrorKind::data, "\"p2\"", [&] { run(t); });
}

}  // namespace
}  // namespace moexray::stats
