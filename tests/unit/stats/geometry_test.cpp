// RSA and CKA.

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "json_matrix.h"
#include "moexray/stats/cka.h"
#include "moexray/stats/rsa.h"
#include "moexray/stats/similarity.h"
#include "structure_cases.h"
#include "structure_fixture.h"

namespace moexray::stats {
namespace {

using bench::PairWorld;
using bench::PairWorldOptions;

PairedPrompts made(const PairWorldOptions& options, int n_each = 8, std::uint64_t seed = 1) {
  return PairWorld(options, 1).draw(n_each, seed).paired();
}

RsaResult rsa_of(const PairedPrompts& pair, RsaOptions options = {}) {
  options.n_resamples = 199;
  options.n_permutations = 499;
  return rsa(pair, tested_pair(pair, TokenSelection::all), options);
}

CkaResult cka_of(const PairedPrompts& pair, int block, CkaOptions options = {}) {
  options.n_permutations = 199;
  return cka(pair, tested_pair(pair, TokenSelection::all), block, options);
}

TEST(Geometry, HasTheReferencesValues) {
  const nlohmann::json cases = test::structure_fixture("geometries");
  ASSERT_EQ(cases.size(), 3U);
  for (const nlohmann::json& one : cases) {
    std::array<Matrix, 2> rows = {test::matrix_from(one.at("first")),
                                  test::matrix_from(one.at("second"))};
    for (Matrix& own : rows) own.rowwise().normalize();
    Units units;
    for (int i = 0; i < rows[0].rows(); ++i) units.of_prompt.push_back(i);
    EXPECT_NEAR(rsa_correlation(rows[0], rows[1], units), one.at("rsa").get<double>(), 1e-10);
    EXPECT_NEAR(unbiased_cka(rows[0], rows[1]), one.at("cka").get<double>(), 1e-10);
  }
}

TEST(Rsa, OfARoutingWithItselfIsOne) {
  const PairedPrompts pair = made({.router_share = 1, .max_tokens = 60});
  const RsaResult found = rsa_of(pair);
  EXPECT_EQ(found.same_tokens.estimate, 1);
  EXPECT_FALSE(found.same_tokens.has_interval());
  EXPECT_NEAR(found.reliability[0].estimate, found.reliability[1].estimate, 1e-12);
  EXPECT_NEAR(found.cross_half.estimate, found.reliability[0].estimate, 1e-12);
  EXPECT_NEAR(found.corrected.estimate, 1, 1e-9);
  EXPECT_TRUE(found.tests_halves);
  EXPECT_EQ(found.mantel.p_value, 1.0 / 500);
  EXPECT_EQ(found.mantel_within.p_value, 1.0 / 500);
}

// Tokens in common look like structure in common; halves do not have them.
TEST(Rsa, OfUnrelatedRoutersWithoutPromptsIsSharedTokens) {
  const PairedPrompts pair =
      made({.n_dimensions = 4, .prompt_effect = 0, .min_tokens = 16, .max_tokens = 16}, 25);
  const RsaResult found = rsa_of(pair);
  EXPECT_GT(found.same_tokens.low, 0.05);
  EXPECT_LT(std::abs(found.cross_half.estimate), 0.05);
  EXPECT_TRUE(std::isnan(found.corrected.estimate));
  EXPECT_NE(found.corrected.reason.find("too few tokens"), std::string::npos);
}

// The estimates against a loop over the pairs, and the interval's standard error against a
// jackknife that leaves out one prompt at a time.
TEST(Rsa, IsPearsonsCorrelationOverPairsOfPrompts) {
  const PairedPrompts pair = made({.n_categories = 1}, 12);
  const RsaResult found = rsa_of(pair);
  const Matrix a = pair_similarity(unit_blocks(pair.first));
  const Matrix b = pair_similarity(unit_blocks(pair.second));
  const auto r_without = [&](Eigen::Index left_out) {
    double n = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
    for (Eigen::Index i = 0; i < a.rows(); ++i) {
      for (Eigen::Index j = 0; j < i; ++j) {
        if (i == left_out || j == left_out) continue;
        n += 1;
        x += a(i, j);
        y += b(i, j);
        xx += a(i, j) * a(i, j);
        yy += b(i, j) * b(i, j);
        xy += a(i, j) * b(i, j);
      }
    }
    return (xy - x * y / n) / std::sqrt((xx - x * x / n) * (yy - y * y / n));
  };
  EXPECT_NEAR(found.same_tokens.estimate, r_without(-1), 1e-10);
  double sum = 0, squares = 0;
  for (Eigen::Index i = 0; i < 12; ++i) {
    const double z = std::atanh(r_without(i));
    sum += z;
    squares += z * z;
  }
  EXPECT_NEAR(found.same_tokens.standard_error, std::sqrt(11.0 / 12 * (squares - sum * sum / 12)),
              1e-9);
}

TEST(Rsa, LeavesOutPairsInsideAGroup) {
  const bench::PairOfRoutings routings = PairWorld({}, 1).draw(6, 1);
  std::vector<std::string> groups;
  for (std::size_t i = 0; i < 24; ++i) groups.push_back("g" + std::to_string(i / 2));
  const PairedPrompts pair = routings.paired(groups);
  const RsaResult found = rsa_of(pair);
  const double direct =
      rsa_correlation(unit_blocks(pair.first), unit_blocks(pair.second), pair.units);
  EXPECT_NEAR(found.same_tokens.estimate, direct, 1e-10);
  EXPECT_GT(std::abs(direct - rsa_of(routings.paired()).same_tokens.estimate), 1e-4);
  EXPECT_EQ(found.not_tested, "");
}

// Two routings whose prompts have nothing in common but their categories.
TEST(Rsa, CategoriesAloneDoNotCountWithinCategories) {
  int n_rejected = 0;
  int n_rejected_within = 0;
  double sum = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const PairedPrompts pair = made(
        {.category_effect = 1, .prompt_share = 0, .min_tokens = 24, .max_tokens = 24}, 5, seed);
    RsaOptions options;
    options.n_resamples = 1;
    options.n_permutations = 99;
    const RsaResult found = rsa(pair, tested_pair(pair, TokenSelection::all), options);
    n_rejected += found.mantel.p_value <= 0.05 ? 1 : 0;
    n_rejected_within += found.mantel_within.p_value <= 0.05 ? 1 : 0;
    sum += found.mantel_within.p_value;
  }
  EXPECT_GE(n_rejected, 30);
  EXPECT_LE(n_rejected_within, 6);  // P(7 or more of 40 at 5%) < 0.4%
  EXPECT_NEAR(sum / 40, 0.5, 3.5 / std::sqrt(12.0 * 40));
}

TEST(Rsa, SaysWhatIsMissing) {
  PairedPrompts pair = made({}, 2);
  const RsaResult few = rsa_of(pair);
  EXPECT_NE(few.not_tested.find("fewer than 10"), std::string::npos);
  EXPECT_FALSE(few.same_tokens.has_interval());
  EXPECT_FALSE(std::isnan(few.same_tokens.estimate));
  pair = made({.n_categories = 1}, 12);
  EXPECT_EQ(rsa_of(pair).not_tested_within, "there is only one category");
  EXPECT_GT(rsa_of(pair).mantel.p_value, 0);
  bench::PairOfRoutings routings = PairWorld({}, 1).draw(8, 1);
  for (RoutedToken& token : routings.second_tokens.tokens) token.id = 9;
  const RsaResult others = rsa_of(routings.paired());
  EXPECT_NE(others.cross_half.reason.find("not the same"), std::string::npos);
  EXPECT_FALSE(others.tests_halves);
  EXPECT_GT(others.mantel.p_value, 0);
}

TEST(Cka, OfIndependentSignaturesIsZeroOnAverage) {
  double sum = 0, squares = 0;
  constexpr int n_draws = 40;
  RandomStream random(5);
  for (int draw = 0; draw < n_draws; ++draw) {
    Matrix a(20, 64), b(20, 64);
    for (Eigen::Index i = 0; i < a.size(); ++i) {
      a.data()[i] = random.uniform();
      b.data()[i] = random.uniform();
    }
    const double value = unbiased_cka(a, b);
    sum += value;
    squares += value * value;
  }
  const double mean = sum / n_draws;
  const double error = std::sqrt((squares / n_draws - mean * mean) / n_draws);
  EXPECT_LT(std::abs(mean), 3 * error);
  EXPECT_LT(error, 0.05);
}

TEST(Cka, IsByLayerPairsWhatItIsOfThem) {
  PairedPrompts pair = made({.n_layers = 3});
  const CkaResult found = cka_of(pair, 0);
  ASSERT_EQ(found.value.rows(), 3);
  ASSERT_EQ(found.value.cols(), 3);
  EXPECT_EQ(found.cross_half.rows(), 0);
  const auto layer = [](const Signatures& s, int i) -> Matrix {
    return s.values.middleCols(16 * i, 16).rowwise().normalized();
  };
  for (int a = 0; a < 3; ++a) {
    for (int b = 0; b < 3; ++b) {
      EXPECT_NEAR(found.value(a, b), unbiased_cka(layer(pair.first, a), layer(pair.second, b)),
                  1e-10);
    }
  }
}

TEST(Cka, OfARoutingWithItselfIsOneAndFoundInHalves) {
  const PairedPrompts pair = made({.n_dimensions = 6, .prompt_effect = 0.8, .router_share = 1}, 10);
  const CkaResult found = cka_of(pair, 1);
  for (int layer = 0; layer < 2; ++layer) {
    EXPECT_NEAR(found.value(layer, layer), 1, 1e-9);
    EXPECT_GT(found.cross_half(layer, layer), 0.3);
    EXPECT_LT(found.cross_half(layer, layer), 1);
    EXPECT_LE(found.p_adjusted(layer, layer), 0.01);
  }
  EXPECT_TRUE(found.tests_halves);
  EXPECT_TRUE(found.within_categories);
  const CkaResult none = cka_of(made({.n_dimensions = 6, .prompt_share = 0}, 10), 1);
  EXPECT_GT(none.p_adjusted.minCoeff(), 0.02);
}

TEST(Cka, TestsTheFirstOfManyPrompts) {
  const PairedPrompts pair = made({.n_dimensions = 6, .prompt_effect = 0.8, .router_share = 1}, 10);
  CkaOptions options;
  options.max_tested = 20;
  EXPECT_LE(cka_of(pair, 1, options).p_adjusted(0, 0), 0.05);
  options.max_tested = 8;
  EXPECT_NE(cka_of(pair, 1, options).not_tested.find("fewer than 10"), std::string::npos);
}

}  // namespace
}  // namespace moexray::stats
