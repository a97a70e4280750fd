// Nulls, noise correction and rarefaction: what is computed from single tokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "moexray/core/random.h"
#include "moexray/stats/noise_corrected.h"
#include "moexray/stats/popularity_null.h"
#include "moexray/stats/rarefaction.h"
#include "moexray/stats/similarity.h"
#include "moexray/stats/uniform_null.h"

namespace moexray::stats {
namespace {

struct Prompt {
  std::string category;
  int n_tokens = 0;
  int n_template = 0;  ///< of them, at the front
};

// Rates by which a token chooses its k experts one after the other: [L, E] of a category.
using Rates = std::vector<Matrix>;

struct Traced {
  Signatures signatures;
  RoutedTokens tokens;
  CategoryIndex categories;
};

// Tokens that choose experts independently of each other.
Traced traced(const std::vector<Prompt>& prompts, const Rates& rates, int top_k, std::uint64_t seed,
              const std::vector<std::vector<TokenId>>& ids = {}) {
  const RoutingShape shape{static_cast<int>(rates[0].rows()), static_cast<int>(rates[0].cols()),
                           top_k};
  std::vector<PromptLabel> labels;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    labels.push_back({"p" + std::to_string(i), prompts[i].category});
  }
  SignatureAccumulator signatures(shape, labels, {});
  TokenAccumulator tokens(shape, prompts.size(), {});
  RandomStream random(seed);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto category = static_cast<std::size_t>(prompts[i].category[0] - 'a');
    for (int t = 0; t < prompts[i].n_tokens; ++t) {
      for (int layer = 0; layer < shape.n_layers; ++layer) {
        std::vector<ExpertId> experts;
        while (static_cast<int>(experts.size()) < top_k) {
          double u = random.uniform();
          int e = 0;
          while (e + 1 < shape.n_experts && u >= rates[category](layer, e)) {
            u -= rates[category](layer, e++);
          }
          if (std::find(experts.begin(), experts.end(), e) == experts.end()) experts.push_back(e);
        }
        const TokenId id = ids.empty() ? static_cast<TokenId>(1000 * i + static_cast<unsigned>(t))
                                       : ids[i][static_cast<std::size_t>(t)];
        const RoutingRecord record{layer,   t, TokenType::prompt, t < prompts[i].n_template, id,
                                   experts, {}};
        signatures.add(i, record);
        tokens.add(i, record);
      }
    }
  }
  Traced result{std::move(signatures).finish(), {}, {}};
  result.tokens = std::move(tokens).finish(result.signatures);
  result.categories = index_categories(result.signatures);
  return result;
}

Matrix some_rates(int n_layers, int n_experts, double spread, std::uint64_t seed) {
  RandomStream random(seed);
  Matrix rates(n_layers, n_experts);
  for (int l = 0; l < n_layers; ++l) {
    for (int e = 0; e < n_experts; ++e) rates(l, e) = std::exp(spread * random.normal());
    rates.row(l) /= rates.row(l).sum();
  }
  return rates;
}

std::vector<Prompt> prompts_of(int n, int low, int high, int n_categories) {
  std::vector<Prompt> prompts;
  for (int i = 0; i < n; ++i) {
    prompts.push_back({std::string(1, static_cast<char>('a' + i % n_categories)),
                       low + (i * 7) % (high - low + 1), 0});
  }
  return prompts;
}

TEST(UniformNull, KindsOfPairsAreThoseOfTheFactors) {
  const Traced t =
      traced(prompts_of(9, 4, 30, 3),
             {some_rates(2, 8, 0, 1), some_rates(2, 8, 0, 1), some_rates(2, 8, 0, 1)}, 2, 1);
  double within = 0, across = 0;
  int n_within = 0, n_across = 0;
  for (std::size_t i = 0; i < 9; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const double expected =
          uniform_factor({2, 8, 2}, t.signatures.n_tokens[i], LoadBalance::distinct) *
          uniform_factor({2, 8, 2}, t.signatures.n_tokens[j], LoadBalance::distinct);
      const bool same = i % 3 == j % 3;
      (same ? within : across) += expected;
      ++(same ? n_within : n_across);
    }
  }
  for (const int layer : {-1, 0, 1}) {
    const ExpectedSimilarity found =
        expected_uniform_by_kind(t.signatures, t.categories, LoadBalance::distinct, layer);
    EXPECT_NEAR(found.within, within / n_within, 1e-12);
    EXPECT_NEAR(found.across, across / n_across, 1e-12);
    EXPECT_NEAR(found.all, (within + across) / (n_within + n_across), 1e-12);
  }
  EXPECT_NEAR(expected_uniform_by_kind(t.signatures, t.categories, LoadBalance::distinct).all,
              expected_uniform_similarity(t.signatures, LoadBalance::distinct), 1e-14);
}

// 64 experts, 8 a token, chosen uniformly. So many prompts that the mean is sure to about 0.0001.
TEST(UniformNull, IsWithinHalfAThousandthOfBruteForceFromEightTokensOn) {
  const RoutingShape shape{1, 64, 8};
  RandomStream random(5);
  for (const int n_tokens : {8, 16, 38, 128}) {
    SCOPED_TRACE(n_tokens);
    const int n_prompts = 1'600'000 / n_tokens;
    Matrix blocks = Matrix::Zero(n_prompts, 64);
    std::vector<int> experts(64);
    std::iota(experts.begin(), experts.end(), 0);
    for (int i = 0; i < n_prompts; ++i) {
      for (int t = 0; t < n_tokens; ++t) {
        for (std::size_t j = 0; j < 8; ++j) {
          std::swap(experts[j], experts[j + random.below(64 - j)]);
          blocks(i, experts[j]) += 1;
        }
      }
      blocks.row(i).normalize();
    }
    // All pairs, from the sum of rows.
    const double n = n_prompts;
    const double mean = (blocks.colwise().sum().squaredNorm() - n) / (n * (n - 1));
    EXPECT_NEAR(std::pow(uniform_factor(shape, n_tokens, LoadBalance::distinct), 2), mean, 5e-4);
  }
}

TEST(PopularityNull, ProbabilitiesWeighCategoriesEqually) {
  // One expert a token; category a has twice the tokens.
  Matrix first(1, 2), second(1, 2);
  first << 1, 0;
  second << 0, 1;
  const Traced t = traced({{"a", 10, 0}, {"a", 10, 0}, {"b", 10, 0}}, {first, second}, 1, 1);
  const Matrix pi = inclusion_probabilities(t.tokens, t.categories);
  EXPECT_NEAR(pi(0, 0), 0.5, 1e-12);
  EXPECT_NEAR(pi(0, 1), 0.5, 1e-12);
  // f = 1 + (k − S₂)/(S₂·T) with S₂ = ½.
  EXPECT_NEAR(popularity_factor(Vector(pi.row(0)), 10), 1 / std::sqrt(1.1), 1e-12);
}

TEST(PopularityNull, ClosedFormAgreesWithSimulation) {
  const Rates rates{some_rates(3, 16, 1, 1), some_rates(3, 16, 1, 2)};
  const Traced t = traced(prompts_of(30, 16, 60, 2), rates, 4, 3);
  const PopularityNull found =
      popularity_null(t.tokens, t.signatures, t.categories, {.n_draws = 200, .n_threads = 2});
  EXPECT_EQ(found.n_draws, 200);
  // First order in 1/T: a few thousandths at these lengths.
  EXPECT_NEAR(found.expected.all, found.simulated.all, 0.004);
  EXPECT_NEAR(found.expected.within, found.simulated.within, 0.004);
  EXPECT_GT(found.draw_std, 0);
  EXPECT_LT(found.draw_std, 0.01);
  // Categories mean nothing in it, and popular experts make prompts more alike than uniform ones.
  EXPECT_NEAR(found.simulated.within, found.simulated.across, 0.002);
  EXPECT_GT(found.simulated.all,
            expected_uniform_similarity(t.signatures, LoadBalance::distinct) + 0.01);
}

TEST(PopularityNull, IsTheUniformNullWhereNoExpertIsPopular) {
  const Matrix even = some_rates(2, 16, 0, 1);
  const Traced t = traced(prompts_of(60, 30, 30, 2), {even, even}, 4, 3);
  const PopularityNull found =
      popularity_null(t.tokens, t.signatures, t.categories, {.n_draws = 50});
  EXPECT_NEAR(found.simulated.all, expected_uniform_similarity(t.signatures, LoadBalance::distinct),
              0.004);
}

TEST(PopularityNull, DependsOnTheSeedAlone) {
  const Rates rates{some_rates(1, 8, 1, 1), some_rates(1, 8, 1, 2)};
  const Traced t = traced(prompts_of(6, 8, 20, 2), rates, 2, 3);
  const auto run = [&](std::uint64_t seed, int n_threads) {
    return popularity_null(t.tokens, t.signatures, t.categories,
                           {.n_draws = 9, .seed = seed, .n_threads = n_threads})
        .simulated.all;
  };
  EXPECT_EQ(run(1, 1), run(1, 3));
  EXPECT_NE(run(1, 1), run(2, 1));
}

TEST(NoiseCorrected, SquaredNormIsUnbiased) {
  const Matrix rates = some_rates(1, 16, 1, 4);
  // Without bias for any inclusion probabilities; those of k = 3 come from many tokens.
  const Traced many = traced({{"a", 400'000, 0}}, {rates}, 3, 1);
  const double truth = (3 * many.signatures.values.row(0)).squaredNorm();
  constexpr int n_prompts = 20'000;
  const Traced few = traced(std::vector<Prompt>(n_prompts, {"a", 16, 0}), {rates}, 3, 2);
  double sum = 0, squares = 0, naive = 0;
  for (Eigen::Index i = 0; i < n_prompts; ++i) {
    const Eigen::RowVectorXd counts =
        few.signatures.values.row(i) * few.signatures.layer_sums(i, 0);
    const double norm = unbiased_squared_norm(counts, 16, 3);
    sum += norm;
    squares += norm * norm;
    naive += counts.squaredNorm() / (16 * 16);
  }
  const double mean = sum / n_prompts;
  const double error = std::sqrt((squares / n_prompts - mean * mean) / n_prompts);
  EXPECT_NEAR(mean, truth, 4 * error + 0.002);
  EXPECT_GT(naive / n_prompts, truth + 0.05);
}

TEST(NoiseCorrected, FindsTheSimilarityOfTheRates) {
  const Rates rates{some_rates(2, 16, 1, 5), some_rates(2, 16, 1, 6)};
  const Traced many = traced({{"a", 100'000, 0}, {"b", 100'000, 0}}, rates, 2, 1);
  const Matrix truth = pair_similarity(unit_blocks(many.signatures));
  const Traced few = traced(prompts_of(80, 20, 30, 2), rates, 2, 7);
  const NoiseCorrectedResult found =
      noise_corrected_similarity(few.tokens, few.signatures, few.categories);
  EXPECT_EQ(found.n_prompts, 80);
  EXPECT_NEAR(found.within.mean, 1, 0.02);
  EXPECT_NEAR(found.across.mean, truth(0, 1), 0.03);
  EXPECT_NEAR(found.gap, found.within.mean - found.across.mean, 1e-14);
  EXPECT_LT(similarity(few.signatures).within.mean, 0.95);
  // Independent tokens: halves of a prompt are as alike as they should be.
  EXPECT_NEAR(found.split_half.corrected, 1, 0.03);
  EXPECT_EQ(found.split_half.n_prompts, 80);
  EXPECT_LT(found.split_half.cosine, 0.95);
}

// 16 experts, 2 a token, uniform: ¾ of the norm's relative variance.
TEST(NoiseCorrected, IsTooHighAtFewTokens) {
  const Rates uniform{some_rates(4, 16, 0, 1), some_rates(4, 16, 0, 2)};
  for (const int n_tokens : {16, 32}) {
    double excess = 0;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const Traced few = traced(prompts_of(100, n_tokens, n_tokens, 2), uniform, 2, seed);
      const NoiseCorrectedResult found =
          noise_corrected_similarity(few.tokens, few.signatures, few.categories);
      EXPECT_NEAR(found.uniform_excess, uniform_excess(n_tokens, {4, 16, 2}), 1e-14);
      excess += (found.within.mean - 1) / 10;
    }
    EXPECT_NEAR(uniform_excess(n_tokens, {4, 16, 2}), n_tokens == 16 ? 0.0204 : 0.0049, 1e-4);
    EXPECT_NEAR(excess, uniform_excess(n_tokens, {4, 16, 2}), n_tokens == 16 ? 0.008 : 0.003);
  }
}

TEST(NoiseCorrected, IsTheFormula) {
  const Rates rates{some_rates(2, 4, 1, 5), some_rates(2, 4, 1, 6)};
  const Traced t = traced({{"a", 17, 0}, {"b", 20, 0}}, rates, 1, 3);
  double expected = 0;
  double half = 0;
  for (int layer = 0; layer < 2; ++layer) {
    std::vector<Eigen::RowVectorXd> counts, first, second;
    for (std::size_t i = 0; i < 2; ++i) {
      Eigen::RowVectorXd a = Eigen::RowVectorXd::Zero(4), b = a;
      const std::size_t n = t.tokens.of_prompt(i).size();
      for (std::size_t x = 0; x < n; ++x) {
        (x < n / 2 ? a : b)(t.tokens.at(t.tokens.first[i] + x, layer)[0]) += 1;
      }
      counts.push_back(a + b);
      first.push_back(a);
      second.push_back(b);
    }
    const double norm_a = (counts[0].squaredNorm() - 17) / (17 * 16);
    const double norm_b = (counts[1].squaredNorm() - 20) / (20 * 19);
    expected += counts[0].dot(counts[1]) / (17 * 20) / std::sqrt(norm_a * norm_b) / 2;
    half += first[0].dot(second[0]) / (8 * 9) / norm_a / 4;
    half += first[1].dot(second[1]) / (10 * 10) / norm_b / 4;
  }
  const NoiseCorrectedResult found =
      noise_corrected_similarity(t.tokens, t.signatures, t.categories);
  EXPECT_NEAR(found.across.mean, expected, 1e-12);
  EXPECT_NEAR(found.split_half.corrected, half, 1e-12);
  EXPECT_EQ(found.within.n_pairs, 0);
}

TEST(NoiseCorrected, SplitHalfSeesTokensThatAreNotIndependent) {
  // The second half of every prompt goes elsewhere.
  Matrix early(1, 8), late(1, 8);
  early << 0.4, 0.4, 0.1, 0.1, 0, 0, 0, 0;
  late << 0, 0, 0, 0, 0.1, 0.1, 0.4, 0.4;
  Traced t = traced(prompts_of(20, 40, 40, 2), {early, early}, 1, 3);
  const Traced other = traced(prompts_of(20, 40, 40, 2), {late, late}, 1, 4);
  for (std::size_t i = 0; i < t.tokens.tokens.size(); ++i) {
    if (i % 40 >= 20) t.tokens.experts[i] = other.tokens.experts[i];
  }
  const NoiseCorrectedResult found =
      noise_corrected_similarity(t.tokens, t.signatures, t.categories);
  EXPECT_EQ(found.split_half.corrected, 0);
  EXPECT_GT(found.within.mean, 0.9);
}

TEST(NoiseCorrected, LeavesOutTemplateSharedPrefixAndShortPrompts) {
  const Rates rates{some_rates(1, 8, 0.5, 1), some_rates(1, 8, 0.5, 2)};
  // Two template tokens, then one word that all prompts share.
  std::vector<std::vector<TokenId>> ids;
  for (const int n : {19, 19, 18, 30}) {
    std::vector<TokenId> own{1, 2, 3};
    while (static_cast<int>(own.size()) < n) {
      own.push_back(static_cast<TokenId>(100 * (ids.size() + 1) + own.size()));
    }
    ids.push_back(own);
  }
  const std::vector<Prompt> prompts{{"a", 19, 2}, {"a", 19, 2}, {"b", 18, 2}, {"b", 30, 2}};
  Traced t = traced(prompts, rates, 1, 3, ids);
  NoiseCorrectedResult found = noise_corrected_similarity(t.tokens, t.signatures, t.categories);
  EXPECT_EQ(found.n_shared_prefix, 3);
  EXPECT_TRUE(found.has_template);
  EXPECT_TRUE(found.has_ids);
  // 16, 16, 15 and 27 tokens remain.
  EXPECT_EQ(found.n_prompts, 3);
  EXPECT_EQ(found.n_too_few_tokens, 1);
  EXPECT_EQ(found.within.n_pairs, 1);
  EXPECT_EQ(found.across.n_pairs, 2);
  for (RoutedToken& token : t.tokens.tokens) token.id = -1;
  found = noise_corrected_similarity(t.tokens, t.signatures, t.categories);
  EXPECT_FALSE(found.has_ids);
  EXPECT_EQ(found.n_shared_prefix, 0);
  EXPECT_EQ(found.n_prompts, 4);
}

TEST(NoiseCorrected, SquaredNormMayNotBePositive) {
  // Every token has an expert of its own: nothing is left of the squared norm.
  Traced t = traced({{"a", 16, 0}, {"b", 16, 0}},
                    {some_rates(1, 16, 0, 1), some_rates(1, 16, 0, 1)}, 1, 1);
  for (std::size_t i = 0; i < t.tokens.experts.size(); ++i) {
    t.tokens.experts[i] = static_cast<std::uint16_t>(i % 16);
  }
  const NoiseCorrectedResult found =
      noise_corrected_similarity(t.tokens, t.signatures, t.categories);
  EXPECT_EQ(found.n_without_norm, 2);
  EXPECT_EQ(found.n_prompts, 0);
  EXPECT_TRUE(std::isnan(found.across.mean));
  EXPECT_TRUE(std::isnan(found.split_half.corrected));
}

TEST(Rarefaction, KeepingAllTokensChangesNothing) {
  const Rates rates{some_rates(2, 8, 1, 1), some_rates(2, 8, 1, 2)};
  const Traced t = traced(prompts_of(12, 20, 20, 2), rates, 2, 3);
  const SimilarityResult plain = similarity(t.signatures);
  const RarefactionResult found =
      rarefied_similarity(t.tokens, t.signatures, t.categories, {.n_draws = 3});
  EXPECT_EQ(found.n_tokens, 20);
  EXPECT_EQ(found.n_prompts, 12);
  EXPECT_NEAR(found.within.mean, plain.within.mean, 1e-12);
  EXPECT_NEAR(found.within.std, 0, 1e-12);
  EXPECT_NEAR(found.gap.mean, plain.gap, 1e-12);
  EXPECT_NEAR(found.cohens_d.mean, plain.cohens_d, 1e-10);
}

TEST(Rarefaction, RemovesWhatLengthAloneDoes) {
  // The same rates in both categories, but b's prompts are longer and so more alike.
  const Matrix rates = some_rates(2, 16, 0.5, 1);
  std::vector<Prompt> prompts;
  for (int i = 0; i < 60; ++i) prompts.push_back(i % 2 == 0 ? Prompt{"a", 16} : Prompt{"b", 160});
  const Traced t = traced(prompts, {rates, rates}, 2, 3);
  const SimilarityResult plain = similarity(t.signatures);
  EXPECT_GT(plain.category_matrix(1, 1) - plain.category_matrix(0, 0), 0.15);
  const RarefactionResult found =
      rarefied_similarity(t.tokens, t.signatures, t.categories, {.n_draws = 20});
  EXPECT_EQ(found.n_tokens, 16);
  EXPECT_NEAR(found.gap.mean, 0, 0.01);
  EXPECT_GT(found.gap.std, 0);
}

TEST(Rarefaction, LeavesOutPromptsWithTooFewTokens) {
  const Rates rates{some_rates(1, 8, 1, 1), some_rates(1, 8, 1, 2)};
  const Traced t = traced({{"a", 5}, {"a", 20}, {"b", 20}, {"b", 30}}, rates, 1, 3);
  const RarefactionResult found =
      rarefied_similarity(t.tokens, t.signatures, t.categories, {.n_draws = 4, .n_tokens = 20});
  EXPECT_EQ(found.n_prompts, 3);
  EXPECT_TRUE(found.empty_categories.empty());
  EXPECT_FALSE(std::isnan(found.within.mean));
  const RarefactionResult none =
      rarefied_similarity(t.tokens, t.signatures, t.categories, {.n_draws = 4, .n_tokens = 99});
  EXPECT_EQ(none.n_prompts, 0);
  EXPECT_EQ(none.n_too_few_tokens, 4);
  EXPECT_EQ(none.empty_categories, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(std::isnan(none.gap.mean));
}

// More prompts than L·E take the path by moments, whose products must not be empty.
TEST(Rarefaction, ACategoryOfShortPromptsIsLeftOutWhole) {
  std::vector<Prompt> prompts(90, {"a", 20, 0});
  for (std::size_t i = 0; i < prompts.size(); i += 3) prompts[i] = {"b", 5, 0};
  const Traced t = traced(prompts, {some_rates(3, 17, 1, 1), some_rates(3, 17, 1, 2)}, 1, 3);
  const RarefactionResult rarefied =
      rarefied_similarity(t.tokens, t.signatures, t.categories, {.n_draws = 2, .n_tokens = 20});
  EXPECT_EQ(rarefied.n_prompts, 60);
  EXPECT_EQ(rarefied.empty_categories, std::vector<std::string>{"b"});
  EXPECT_FALSE(std::isnan(rarefied.within.mean));
  EXPECT_TRUE(std::isnan(rarefied.across.mean));
  const NoiseCorrectedResult corrected =
      noise_corrected_similarity(t.tokens, t.signatures, t.categories);
  EXPECT_EQ(corrected.n_prompts + corrected.n_without_norm, 60);
  EXPECT_EQ(corrected.empty_categories, std::vector<std::string>{"b"});
  EXPECT_FALSE(std::isnan(corrected.within.mean));
  EXPECT_TRUE(std::isnan(corrected.across.mean));
}

TEST(Rarefaction, DependsOnTheSeedAlone) {
  const Rates rates{some_rates(1, 8, 1, 1), some_rates(1, 8, 1, 2)};
  const Traced t = traced(prompts_of(8, 10, 20, 2), rates, 2, 3);
  const auto run = [&](std::uint64_t seed, int n_threads) {
    return rarefied_similarity(t.tokens, t.signatures, t.categories,
                               {.n_draws = 7, .seed = seed, .n_threads = n_threads})
        .gap.mean;
  };
  EXPECT_EQ(run(1, 1), run(1, 3));
  EXPECT_NE(run(1, 1), run(2, 1));
}

}  // namespace
}  // namespace moexray::stats
