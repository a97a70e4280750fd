#include "moexray/stats/paired_structure.h"

#include <gtest/gtest.h>

#include <cmath>

#include "moexray/stats/random_routers.h"
#include "moexray/stats/similarity.h"
#include "stats_support.h"
#include "structure_cases.h"

namespace moexray::stats {
namespace {

using bench::PairWorld;
using bench::PairWorldOptions;

PairedPrompts made(const PairWorldOptions& options, int n_each = 8, std::uint64_t seed = 1) {
  return PairWorld(options, 1).draw(n_each, seed).paired();
}

const PairedStructureOptions quick = {.n_repetitions = 2, .n_resamples = 99, .n_permutations = 199};

PairWorldOptions two_noisy_copies() {
  return {.category_effect = 0.5, .router_share = 1, .own_noise = 0.7};
}

TEST(PairedStructure, NumbersAreThoseOfEachRoutingAlone) {
  const PairedPrompts pair = made(two_noisy_copies());
  const PairedStructure found = paired_structure(pair, quick);
  for (const bool second : {false, true}) {
    const Signatures& own = second ? pair.second : pair.first;
    const auto value = [&](const char* name) {
      const PairedNumber* number = found.find(name);
      return second ? number->estimate.second : number->estimate.first;
    };
    const SimilarityResult alone = similarity(own);
    EXPECT_NEAR(value("gap"), alone.gap, 1e-12);
    EXPECT_NEAR(value("cohens_d"), alone.cohens_d, 1e-9);
    const RouterScores scores = router_scores(whole_prompts(own, {}), own, own, {.n_divisions = 0});
    EXPECT_NEAR(value("r_squared"), scores.r_squared, 1e-12);
    const BootstrapResult bootstrapped = bootstrap(
        pair_similarity(unit_blocks(own)), pair.categories, pair.units, {.n_resamples = 19});
    EXPECT_NEAR(value("auc"), bootstrapped.auc.estimate, 1e-12);
  }
  for (const PairedNumber& number : found.numbers) {
    const PairedEstimate& e = number.estimate;
    EXPECT_NEAR(e.difference.estimate, e.second - e.first, 1e-9) << number.name;
    if (number.name == "accuracy") continue;
    EXPECT_NEAR(number.test.statistic, e.difference.estimate, 1e-9) << number.name;
    EXPECT_LT(e.difference.low, e.difference.estimate);
    EXPECT_GT(e.difference.high, e.difference.estimate);
  }
}

TEST(PairedStructure, OfARoutingWithItselfDiffersInNothing) {
  const PairedPrompts pair = made({.category_effect = 0.5, .router_share = 1});
  const PairedStructure found = paired_structure(pair, quick);
  for (const PairedNumber& number : found.numbers) {
    EXPECT_NEAR(number.estimate.difference.estimate, 0, 1e-12) << number.name;
    EXPECT_FALSE(number.estimate.difference.has_interval()) << number.name;
    EXPECT_TRUE(number.name == "accuracy" || number.test.p_two_sided == 1) << number.name;
  }
  ASSERT_EQ(found.transfer.size(), 4U);
  for (const TransferCell& cell : found.transfer) {
    EXPECT_EQ(cell.accuracy, found.transfer[0].accuracy);
  }
}

// The standard error is the jackknife's over prompts within categories, of the difference.
TEST(PairedStructure, TakesBothRoutingsWithoutTheSamePrompt) {
  const PairedPrompts pair = made(two_noisy_copies(), 5);
  const PairedStructure found = paired_structure(pair, quick);
  const auto gap_of = [](const Signatures& signatures) { return similarity(signatures).gap; };
  std::vector<std::vector<double>> without(4);
  for (std::size_t left_out = 0; left_out < pair.size(); ++left_out) {
    std::vector<std::size_t> rows;
    for (std::size_t row = 0; row < pair.size(); ++row) {
      if (row != left_out) rows.push_back(row);
    }
    const PairedPrompts rest = rows_of(pair, rows);
    without[static_cast<std::size_t>(pair.categories.of_prompt[left_out])].push_back(
        gap_of(rest.second) - gap_of(rest.first));
  }
  double variance = 0;
  for (const std::vector<double>& own : without) {
    variance += 4.0 / 5 * 4 * test::variance_of(own);
  }
  EXPECT_NEAR(found.find("gap")->estimate.difference.standard_error, std::sqrt(variance), 1e-10);
}

// A direct loop over the matrices of one exchange.
TEST(PairedStructure, ExchangesWholeRows) {
  const PairedPrompts pair = made(two_noisy_copies(), 3);  // 12 units: all 4,096 exchanges
  const PairedStructure found = paired_structure(pair, quick);
  const auto gap_of = [&](const Matrix& blocks) {
    const WithinAcross pairs = pair_statistics(blocks, pair.categories);
    return pairs.within.mean - pairs.across.mean;
  };
  const auto statistic = [&](const Matrix& a, const Matrix& b) { return gap_of(b) - gap_of(a); };
  const PairedTest direct =
      paired_test(unit_blocks(pair.first), unit_blocks(pair.second), statistic, {});
  EXPECT_TRUE(found.find("gap")->test.exact);
  EXPECT_NEAR(found.find("gap")->test.p_two_sided, direct.p_two_sided, 1e-12);
}

TEST(PairedStructure, FindsACategoryEffectThatOneRoutingHasMoreOf) {
  PairWorldOptions options = two_noisy_copies();
  options.category_effect = 0.3;
  options.second_category_effect = 0.6;
  const PairedStructure found = paired_structure(made(options, 12), quick);
  for (const char* name : {"gap", "cohens_d", "auc", "r_squared"}) {
    EXPECT_LE(found.find(name)->test.p_two_sided, 0.02) << name;
    EXPECT_GT(found.find(name)->estimate.difference.low, 0) << name;
  }
  EXPECT_GT(found.find("accuracy")->estimate.difference.estimate, 0);
}

TEST(PairedStructure, AClassifierCrossesToTheSameExpertsAndOnlyRelativelyToOthers) {
  PairWorldOptions options{.category_effect = 1, .router_share = 1, .own_noise = 0.5};
  options.n_experts = 8;
  options.permutation = {3, 0, 6, 1, 7, 2, 5, 4};
  const PairedPrompts renamed = made(options);
  const auto cell = [](const PairedStructure& found, std::size_t i) {
    return found.transfer.at(i).accuracy;
  };
  // Signatures of renamed experts mean nothing to the classifier; similarities are the same.
  const PairedStructure direct = paired_structure(renamed, quick);
  PairedStructureOptions relative = quick;
  relative.exchange_rows = false;
  const PairedStructure by_similarity = paired_structure(renamed, relative);
  EXPECT_EQ(direct.features, TransferFeatures::signatures);
  EXPECT_EQ(by_similarity.features, TransferFeatures::similarities);
  EXPECT_GT(cell(direct, 0), 0.85);
  EXPECT_LT(cell(direct, 1), 0.6);
  EXPECT_GT(cell(by_similarity, 1), 0.85);
  EXPECT_GT(cell(by_similarity, 2), 0.85);
  EXPECT_TRUE(std::isnan(by_similarity.find("gap")->test.p_two_sided));
  options.permutation = {};
  EXPECT_GT(cell(paired_structure(made(options), quick), 1), 0.85);
}

TEST(PairedStructure, SaysWhyThereIsNoClassifier) {
  const PairedStructure found = paired_structure(made(two_noisy_copies(), 3), quick);
  EXPECT_TRUE(found.transfer.empty());
  EXPECT_EQ(found.find("accuracy"), nullptr);
  ASSERT_EQ(found.notices.size(), 1U);
  EXPECT_NE(found.notices[0].find("no classifier"), std::string::npos);
}

TEST(PairedStructure, DoesNotDependOnThreads) {
  const PairedPrompts pair = made(two_noisy_copies(), 6);
  PairedStructureOptions threads = quick;
  threads.n_threads = 3;
  const PairedStructure one = paired_structure(pair, quick);
  const PairedStructure several = paired_structure(pair, threads);
  for (std::size_t i = 0; i < one.numbers.size(); ++i) {
    EXPECT_EQ(one.numbers[i].estimate.difference.low, several.numbers[i].estimate.difference.low);
  }
  EXPECT_EQ(one.find("gap")->test.p_two_sided, several.find("gap")->test.p_two_sided);
}

}  // namespace
}  // namespace moexray::stats
