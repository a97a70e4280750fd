#include "moexray/stats/confounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "bench/simulated_routing.h"
#include "stats_support.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

const FeatureAccuracy& feature(const ConfoundsResult& result, const std::string& name) {
  return *std::find_if(result.features.begin(), result.features.end(),
                       [&](const FeatureAccuracy& f) { return f.name == name; });
}

ConfoundsResult confounds_of(const bench::SimulatedRouting& w, const ConfoundsOptions& options) {
  return confounds(w.signatures, w.tokens,
                   compared_prompts(w.tokens, w.signatures, options.groups, TokenSelection::all),
                   options);
}

bench::SimulatedRouting world(double context_effect, int n_prompts = 12) {
  return bench::simulated_routing(
      {.n_categories = 3, .n_prompts = n_prompts, .context_effect = context_effect}, 3);
}

TEST(Confounds, FindsRoutingByContext) {
  const auto w = world(0.8);
  const ConfoundsResult result = confounds_of(w, {.n_repetitions = 3, .n_permutations = 99});
  EXPECT_EQ(result.ladder.verdict.outcome, Outcome::adds);
  EXPECT_EQ(result.ladder.verdict.p_value, 0.01);
  EXPECT_GT(result.ladder.verdict.accuracy, 0.6);
  EXPECT_NEAR(result.ladder.verdict.chance, 1.0 / 3, 0.08);
  EXPECT_GT(feature(result, "signature_minus_expected").coverage, 0.5);
  EXPECT_GT(feature(result, "signature").mean, 0.8);
  EXPECT_LT(feature(result, "lengths").ci95[0], feature(result, "lengths").ci95[1]);
  EXPECT_LT(feature(result, "lengths").mean, 0.6);
  ASSERT_EQ(result.differences.size(), 2U);
  EXPECT_EQ(result.differences[0].name, "signature − token_unigrams");
  EXPECT_NEAR(result.differences[0].mean,
              feature(result, "signature").mean - feature(result, "token_unigrams").mean, 1e-12);
}

TEST(Confounds, SaysNothingOfRoutingByTokenTypes) {
  const auto w = world(0);
  const ConfoundsResult result = confounds_of(w, {.n_repetitions = 0, .n_permutations = 99});
  EXPECT_EQ(result.ladder.verdict.outcome, Outcome::no_evidence);
  EXPECT_GT(result.ladder.verdict.smallest_detectable, 0.05);
  EXPECT_LT(result.ladder.verdict.smallest_detectable, 0.5);
  // The signature itself tells the category, through the types.
  EXPECT_GT(feature(result, "signature").mean, 0.5);
  EXPECT_TRUE(std::isnan(feature(result, "signature").ci95[0]));
}

TEST(Confounds, DoesNotDependOnThreads) {
  const auto w = world(0.3);
  ConfoundsOptions options{.n_repetitions = 2, .n_permutations = 10};
  const ConfoundsResult one = confounds_of(w, options);
  options.n_threads = 3;
  const ConfoundsResult three = confounds_of(w, options);
  EXPECT_EQ(one.ladder.verdict.p_value, three.ladder.verdict.p_value);
  EXPECT_EQ(one.ladder.verdict.smallest_detectable, three.ladder.verdict.smallest_detectable);
  for (std::size_t i = 0; i < one.features.size(); ++i) {
    if (!one.features[i].left_out.empty()) continue;
    EXPECT_EQ(one.features[i].mean, three.features[i].mean);
  }
}

TEST(Confounds, CannotTellWithoutTokenIds) {
  auto w = world(0.8);
  for (RoutedToken& token : w.tokens.tokens) token.id = -1;
  const ConfoundsResult result = confounds_of(w, {.n_repetitions = 0, .n_permutations = 99});
  EXPECT_EQ(result.ladder.verdict.outcome, Outcome::cannot_tell);
  EXPECT_EQ(result.ladder.verdict.reason, "the trace has no token ids");
  EXPECT_TRUE(std::isnan(result.ladder.verdict.p_value));
  EXPECT_EQ(feature(result, "token_unigrams").left_out, "the trace has no token ids");
  EXPECT_GT(feature(result, "signature").mean, 0.5);
}

TEST(Confounds, CannotTellFromUnseenTypes) {
  auto w = world(0.8);
  for (std::size_t t = 0; t < w.tokens.tokens.size(); ++t) {
    if (t % 8 != 0) w.tokens.tokens[t].id = static_cast<TokenId>(1000 + t);
  }
  const ConfoundsResult result = confounds_of(w, {.n_repetitions = 0, .n_permutations = 19});
  EXPECT_EQ(result.ladder.verdict.outcome, Outcome::cannot_tell);
  EXPECT_NE(result.ladder.verdict.reason.find("too few tokens"), std::string::npos);
}

TEST(Confounds, CannotTellFromFewPrompts) {
  const auto w = world(0, 4);
  const ConfoundsResult small = confounds_of(w, {.n_repetitions = 0, .n_permutations = 19});
  EXPECT_EQ(small.ladder.verdict.outcome, Outcome::cannot_tell);
  EXPECT_EQ(
      small.ladder.verdict.reason,
      "3 categories have 4 prompts (\"c0\", \"c1\", \"c2\"): at least one per fold is needed, "
      "of 5 folds (--folds 4 would do)");
  EXPECT_TRUE(small.features.empty());
}

TEST(Confounds, CannotTellFromGroupsThatAreCategories) {
  const auto w = world(0.8);
  ConfoundsOptions options{.n_repetitions = 0, .n_permutations = 19};
  options.groups = w.signatures.categories;
  const ConfoundsResult result = confounds_of(w, options);
  EXPECT_EQ(result.ladder.verdict.outcome, Outcome::cannot_tell);
  EXPECT_NE(result.ladder.verdict.reason.find("at least one group per fold"), std::string::npos);
  // Groups of two prompts within a category: said, and tested by exchanging groups.
  for (std::size_t i = 0; i < options.groups.size(); ++i) {
    options.groups[i] += "-" + std::to_string(i / 6);
  }
  const ConfoundsResult pairs = confounds_of(w, options);
  EXPECT_EQ(pairs.n_units, 18);
  EXPECT_NE(pairs.notices.back().find("every group lies in one category"), std::string::npos);
}

TEST(Confounds, KnowsTheShuffledPrompts) {
  auto w = world(0.8);
  for (std::size_t i = 0; i < w.tokens.n_prompts(); ++i) {
    for (std::size_t t = w.tokens.first[i] + 10; t < w.tokens.first[i + 1]; ++t) {
      w.tokens.tokens[t].type = TokenType::generation;
    }
  }
  ConfoundsOptions options{.n_repetitions = 2, .n_permutations = 0};
  options.shuffled = Matrix::Ones(w.signatures.values.rows(), w.signatures.values.cols());
  const ConfoundsResult result = confounds_of(w, options);
  EXPECT_LT(feature(result, "shuffled_prompt").mean, 0.5);
  EXPECT_EQ(result.differences.back().name, "prompt_only − shuffled_prompt");
  EXPECT_EQ(result.ladder.verdict.reason, "no permutations were asked for");
}

TEST(Confounds, EndsWhenTold) {
  const auto w = world(0);
  std::atomic<bool> stop = true;
  ConfoundsOptions options{.n_repetitions = 1};
  options.work.stop = &stop;
  test::expect_error(ErrorKind::interrupted, "interrupted", [&] { confounds_of(w, options); });
}

TEST(Confounds, RefusesOneCategory) {
  const auto w = bench::simulated_routing({.n_categories = 1, .n_prompts = 8}, 1);
  test::expect_error(ErrorKind::data, "only one category", [&] { confounds_of(w, {}); });
  const auto two = world(0);
  test::expect_error(ErrorKind::usage, "4 to 64", [&] { confounds_of(two, {.n_folds = 3}); });
}

}  // namespace
}  // namespace moexray::stats
