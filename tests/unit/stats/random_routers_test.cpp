#include "moexray/stats/random_routers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/stats/permutation_tests.h"
#include "moexray/stats/rates.h"
#include "moexray/stats/similarity.h"

namespace moexray::stats {
namespace {

// Signatures of one layer whose experts follow the category by `effect`.
Signatures made_signatures(int n_categories, int n_each, double effect, std::uint64_t seed) {
  RandomStream random(seed);
  Signatures s;
  s.shape = {1, 8, 2};
  const int n = n_categories * n_each;
  s.values = Matrix::Zero(n, 8);
  for (int i = 0; i < n; ++i) {
    const int category = i / n_each;
    s.ids.push_back("p" + std::to_string(i));
    s.categories.push_back("c" + std::to_string(category));
    s.prompt_indices.push_back(static_cast<std::size_t>(i));
    s.n_tokens.push_back(10);
    for (int e = 0; e < 8; ++e) {
      s.values(i, e) = 0.2 + random.uniform() + (e == category ? effect : 0);
    }
    s.values.row(i) /= s.values.row(i).sum();
  }
  s.layer_tokens = CountMatrix::Constant(n, 1, 10);
  s.layer_sums = Matrix::Constant(n, 1, 20);
  return s;
}

RouterScores scores_of(const Signatures& s, std::span<const std::string> groups = {}) {
  return router_scores(whole_prompts(s, groups), s, s, {.n_divisions = 0});
}

TEST(RouterScores, VarianceBetweenIsThatOfPermanovaWithoutItsBias) {
  Signatures s = made_signatures(3, 7, 0.8, 1);
  s.ids.resize(18);  // the last category has four
  s.categories.resize(18);
  s.values.conservativeResize(18, 8);
  s.layer_tokens.conservativeResize(18, 1);
  s.layer_sums.conservativeResize(18, 1);
  const ComparedPrompts compared = whole_prompts(s, {});
  const double plain =
      test_location(unit_blocks(s), compared.categories, compared.units, {.n_permutations = 1})
          .r_squared;
  const double bias = 2.0 / 17.0;  // (K − 1)/(n − 1)
  EXPECT_NEAR(scores_of(s).r_squared, (plain - bias) / (1 - bias), 1e-12);
}

TEST(RouterScores, VarianceBetweenIsZeroOnAverageWithoutADifference) {
  double sum = 0;
  constexpr int n = 300;
  for (int i = 0; i < n; ++i) {
    sum += scores_of(made_signatures(4, 5, 0, static_cast<std::uint64_t>(i))).r_squared;
  }
  EXPECT_NEAR(sum / n, 0, 0.005);
  EXPECT_NEAR(scores_of(made_signatures(4, 5, 1e6, 1)).r_squared, 1, 1e-6);
}

TEST(RouterScores, LeavesOutUnitsOneByOne) {
  const Signatures s = made_signatures(2, 6, 0.5, 3);
  const RouterScores all = scores_of(s);
  ASSERT_EQ(all.r_squared_without.size(), 12);
  const ComparedPrompts compared = whole_prompts(s, {});
  // Without the prompt of one unit, computed anew.
  const std::size_t unit = 4;
  const auto left_out = static_cast<Eigen::Index>(compared.units.members[unit].front());
  Signatures rest = s;
  rest.values = Matrix(11, 8);
  rest.ids.erase(rest.ids.begin() + left_out);
  rest.categories.erase(rest.categories.begin() + left_out);
  for (Eigen::Index i = 0, to = 0; i < 12; ++i) {
    if (i != left_out) rest.values.row(to++) = s.values.row(i);
  }
  rest.layer_tokens.conservativeResize(11, 1);
  rest.layer_sums.conservativeResize(11, 1);
  EXPECT_NEAR(all.r_squared_without(static_cast<Eigen::Index>(unit)), scores_of(rest).r_squared,
              1e-12);
}

TEST(RouterScores, CopiesInAUnitAreNoEvidence) {
  // Every prompt twice, both in one group: the variance between is that of the single ones.
  const Signatures one = made_signatures(3, 6, 0.5, 9);
  Signatures twice = one;
  twice.values = Matrix(36, 8);
  twice.values << one.values, one.values;
  twice.layer_tokens = CountMatrix::Constant(36, 1, 10);
  twice.layer_sums = Matrix::Constant(36, 1, 20);
  std::vector<std::string> groups;
  for (int copy = 0; copy < 2; ++copy) {
    for (int i = 0; i < 18; ++i) groups.push_back("g" + std::to_string(i));
  }
  for (int i = 0; i < 18; ++i) {
    twice.ids.push_back("copy" + std::to_string(i));
    twice.categories.push_back(one.categories[static_cast<std::size_t>(i)]);
    twice.prompt_indices.push_back(static_cast<std::size_t>(18 + i));
    twice.n_tokens.push_back(10);
  }
  EXPECT_NEAR(scores_of(twice, groups).r_squared, scores_of(one).r_squared, 0.02);
  EXPECT_GT(scores_of(twice).r_squared, scores_of(one).r_squared + 0.02);
}

TEST(RouterScores, ClassifierKnowsWhatIsThere) {
  const Signatures s = made_signatures(3, 8, 5, 2);
  const RouterScores scores = router_scores(whole_prompts(s, {}), s, s, {});
  EXPECT_GT(scores.accuracy, 0.95);
  EXPECT_GT(scores.bits, 1.0);
  EXPECT_LT(scores.bits, std::log2(3.0));
  EXPECT_NEAR(scores.unit_bits.mean(), scores.bits, 1e-12);
  const Signatures noise = made_signatures(3, 8, 0, 2);
  EXPECT_LT(router_scores(whole_prompts(noise, {}), noise, noise, {}).bits, 0.2);
}

Units four_units() {
  Units units;
  units.of_prompt = {0, 1, 2, 3};
  units.members = {{0}, {1}, {2}, {3}};
  units.category = {0, 0, 1, 1};
  return units;
}

TEST(RouterContrast, IsThePredictionIntervalOfAnotherRouter) {
  const std::vector<double> random = {1, 2, 3, 4, 5};
  const std::vector<Vector> without(5, Vector::Constant(4, 2.0));
  const RouterContrast contrast =
      router_contrast(6, Vector::Constant(4, 6.0), random, without, four_units());
  EXPECT_DOUBLE_EQ(contrast.mean, 3);
  EXPECT_DOUBLE_EQ(contrast.sd, std::sqrt(2.5));
  EXPECT_NEAR(contrast.router_error, 2.776445105 * std::sqrt(2.5) * std::sqrt(1.2), 1e-8);
  EXPECT_DOUBLE_EQ(contrast.prompt_error, 0);
  EXPECT_NEAR(contrast.ci95[0], 3 - contrast.router_error, 1e-12);
  EXPECT_EQ(router_outcome(contrast), RouterOutcome::no_better);
}

TEST(RouterContrast, TheErrorBetweenPromptsIsTheJackknifes) {
  // Differences without each unit: strata {1, 3} and {0, 4}.
  Vector own(4);
  own << 11, 13, 10, 14;
  const std::vector<double> random = {9.9, 10, 10.1};
  const std::vector<Vector> without(3, Vector::Constant(4, 10.0));
  const RouterContrast contrast = router_contrast(12, own, random, without, four_units());
  // (n − 1)/n Σ (θ − mean)²: ½ · 2 + ½ · 8.
  EXPECT_NEAR(contrast.prompt_error, 1.959963984540054 * std::sqrt(5.0), 1e-12);
  EXPECT_GT(contrast.prompt_error, contrast.router_error);
  EXPECT_NEAR(contrast.ci95[1], 2 + contrast.prompt_error, 1e-12);
}

TEST(RouterContrast, SaysBetterAndWorse) {
  const std::vector<double> random = {1, 1.1, 0.9, 1.05, 0.95};
  const std::vector<Vector> without(5, Vector::Constant(4, 1.0));
  const Vector flat = Vector::Constant(4, 1.0);
  EXPECT_EQ(router_outcome(router_contrast(2, flat, random, without, four_units())),
            RouterOutcome::better);
  EXPECT_EQ(router_outcome(router_contrast(0, flat, random, without, four_units())),
            RouterOutcome::worse);
  EXPECT_EQ(router_outcome(router_contrast(1, flat, std::span(random).first(1), {}, four_units())),
            RouterOutcome::cannot_tell);
}

}  // namespace
}  // namespace moexray::stats
