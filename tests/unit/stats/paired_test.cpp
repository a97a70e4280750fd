#include "moexray/stats/paired.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/stats/similarity.h"
#include "stats_support.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

std::vector<double> normals(std::size_t n, double mean, RandomStream& random) {
  std::vector<double> values;
  for (std::size_t i = 0; i < n; ++i) values.push_back(mean + random.normal());
  return values;
}

TEST(PairedTest, OfTenPositiveDifferencesIsTwoIn1024) {
  const std::vector<double> differences = {0.3, 0.1, 2, 0.7, 0.2, 0.4, 0.9, 1.1, 0.6, 0.8};
  const PairedTest found = paired_test(differences, {});
  EXPECT_TRUE(found.exact);
  EXPECT_EQ(found.n_draws, 1024);
  EXPECT_EQ(found.n_units, 10U);
  EXPECT_NEAR(found.statistic, 0.71, 1e-12);
  EXPECT_EQ(found.p_two_sided, 2.0 / 1024);
  EXPECT_EQ(found.p_greater, 1.0 / 1024);
}

// Sums of 1, 2 and 4 with signs: 7, 5, 3, 1, −1, −3, −5, −7; the observed one is 3.
TEST(PairedTest, CountsTheExchangesThatReachTheObservedOne) {
  const PairedTest found = paired_test(std::vector<double>{1, -2, 4}, {});
  EXPECT_EQ(found.p_greater, 3.0 / 8);
  EXPECT_EQ(found.p_two_sided, 6.0 / 8);
  const PairedTest opposite = paired_test(std::vector<double>{-1, 2, -4}, {});
  EXPECT_EQ(opposite.p_greater, 6.0 / 8);
  EXPECT_EQ(opposite.p_two_sided, 6.0 / 8);
}

TEST(PairedTest, RoundingBreaksNoTies) {
  // 0.1 + 0.2 − 0.3 is not 0 in binary, and no exchange is less extreme than 0.
  const PairedTest zero = paired_test(std::vector<double>{0.1, 0.2, -0.3}, {});
  EXPECT_EQ(zero.p_two_sided, 1);
  EXPECT_EQ(zero.p_greater, 5.0 / 8);  // 0.6, 0.4, 0.2, and 0 twice, of which one is the observed
  const PairedTest none = paired_test(std::vector<double>{0, 0, 0, 0}, {});
  EXPECT_EQ(none.p_two_sided, 1);
  EXPECT_EQ(none.p_greater, 1);
}

TEST(PairedTest, LeavesOutUndefinedDifferences) {
  EXPECT_TRUE(std::isnan(paired_test(std::vector<double>{}, {}).p_two_sided));
  const PairedTest found = paired_test(std::vector<double>{1, undefined, 2}, {});
  EXPECT_EQ(found.n_units, 2U);
  EXPECT_EQ(found.p_greater, 1.0 / 4);
}

TEST(PairedTest, DrawsExchangesOfManyUnits) {
  RandomStream random(3);
  const auto twelve = normals(12, 0.5, random);
  EXPECT_TRUE(paired_test(twelve, {}).exact);
  const auto differences = normals(80, 1, random);
  const PairedTest found = paired_test(differences, {.n_permutations = 999});
  EXPECT_FALSE(found.exact);
  EXPECT_EQ(found.n_draws, 999);
  EXPECT_EQ(found.p_two_sided, 1.0 / 1000);
  EXPECT_EQ(found.p_greater, 1.0 / 1000);
}

// Twelve units by enumeration, and the same with a thirteenth that changes nothing, by random
// exchanges.
TEST(PairedTest, RandomExchangesAgreeWithAllOfThem) {
  RandomStream random(5);
  auto differences = normals(12, 0.3, random);
  const PairedTest all = paired_test(differences, {});
  differences.push_back(0);
  const PairedTest some = paired_test(differences, {.n_permutations = 20'000});
  EXPECT_FALSE(some.exact);
  EXPECT_NEAR(some.p_two_sided, all.p_two_sided, 0.015);
  EXPECT_NEAR(some.p_greater, all.p_greater, 0.015);
}

TEST(PairedTest, HoldsItsLevel) {
  constexpr int n_sets = 1000;
  for (const std::size_t n : {9U, 30U}) {
    int n_two_sided = 0;
    int n_greater = 0;
    for (int i = 0; i < n_sets; ++i) {
      RandomStream random(17, std::to_string(i));
      // Skewed pairs whose members are exchangeable.
      std::vector<double> differences;
      for (std::size_t u = 0; u < n; ++u) {
        differences.push_back(std::exp(random.normal()) - std::exp(random.normal()));
      }
      const PairedTest found =
          paired_test(differences, {.n_permutations = 199, .seed = static_cast<unsigned>(i)});
      n_two_sided += found.p_two_sided <= 0.05 ? 1 : 0;
      n_greater += found.p_greater <= 0.05 ? 1 : 0;
    }
    // 50 ± 6.9: within three binomial errors.
    EXPECT_NEAR(n_two_sided, 50, 21) << n;
    EXPECT_NEAR(n_greater, 50, 21) << n;
  }
}

TEST(PairedTest, DoesNotDependOnThreads) {
  RandomStream random(7);
  const auto differences = normals(40, 0.3, random);
  const PairedTest one = paired_test(differences, {.n_permutations = 999, .seed = 4});
  const PairedTest three =
      paired_test(differences, {.n_permutations = 999, .seed = 4, .n_threads = 3});
  EXPECT_EQ(one.p_two_sided, three.p_two_sided);
  EXPECT_EQ(one.p_greater, three.p_greater);
}

Matrix random_matrix(Eigen::Index n, Eigen::Index d, RandomStream& random) {
  Matrix values(n, d);
  for (Eigen::Index i = 0; i < n; ++i) {
    for (Eigen::Index j = 0; j < d; ++j) values(i, j) = random.normal();
  }
  return values;
}

TEST(PairedTest, ExchangesWholeRows) {
  RandomStream random(9);
  const Matrix first = random_matrix(10, 3, random).array() + 1;
  const Matrix second = random_matrix(10, 3, random);
  const auto difference = [](const Matrix& a, const Matrix& b) {
    return a.col(0).mean() - b.col(0).mean();
  };
  std::vector<double> differences;
  for (Eigen::Index i = 0; i < 10; ++i) differences.push_back(first(i, 0) - second(i, 0));
  const PairedTest rows = paired_test(first, second, difference, {});
  const PairedTest flips = paired_test(differences, {});
  EXPECT_NEAR(rows.statistic, flips.statistic, 1e-14);
  EXPECT_EQ(rows.p_two_sided, flips.p_two_sided);
  EXPECT_EQ(rows.p_greater, flips.p_greater);
  // Rows are exchanged whole: what all members have in common cannot tell the two apart.
  const PairedTest sums = paired_test(
      first, second, [](const Matrix& a, const Matrix& b) { return (a + b).sum(); }, {});
  EXPECT_EQ(sums.p_greater, 1);
}

// The gap of signatures before and after, which is no mean over prompts.
TEST(PairedTest, OfAStatisticOfAllPairs) {
  const std::vector<std::string> categories = test::mixed_categories({10, 10}, 1);
  const auto gap_of = [&](const Matrix& values) {
    Signatures signatures = test::random_signatures(categories, 1);
    signatures.values = values;
    return similarity(signatures).gap;
  };
  const auto gap = [&](const Matrix& a, const Matrix& b) { return gap_of(a) - gap_of(b); };
  const Matrix separated = test::random_signatures(categories, 2, {.effect = 2}).values;
  const Matrix alike = test::random_signatures(categories, 3, {.effect = 0}).values;
  const PairedOptions options{.n_permutations = 199, .n_threads = 2};
  EXPECT_LE(paired_test(separated, alike, gap, options).p_greater, 0.05);
  EXPECT_GE(paired_test(alike, separated, gap, options).p_greater, 0.95);
  EXPECT_EQ(paired_test(alike, alike, gap, options).p_two_sided, 1);
}

TEST(PairedTest, UndefinedStatisticsDoNotHelp) {
  const auto undefined_unless_observed = [](std::span<const char> exchanged) {
    for (const char one : exchanged) {
      if (one != 0) return undefined;
    }
    return 1.0;
  };
  EXPECT_EQ(paired_test(5, undefined_unless_observed, {}).p_two_sided, 1);
  const PairedTest none = paired_test(5, [](std::span<const char>) { return undefined; }, {});
  EXPECT_TRUE(std::isnan(none.p_two_sided));
  EXPECT_EQ(none.n_draws, 0);
}

TEST(PairedTest, RefusesMatricesThatDoNotPair) {
  const auto zero = [](const Matrix&, const Matrix&) { return 0.0; };
  test::expect_error(ErrorKind::runtime, "3 × 2 of both",
                     [&] { paired_test(Matrix(3, 2), Matrix(2, 2), zero, {}); });
}

}  // namespace
}  // namespace moexray::stats
