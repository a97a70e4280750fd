#include "moexray/stats/pca.h"

#include <gtest/gtest.h>

#include <cmath>

#include "projection_cases.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

void expect_equal(const PcaResult& found, const test::ReferencePca& expected) {
  for (Eigen::Index c = 0; c < 2; ++c) {
    EXPECT_NEAR(found.explained_variance_ratio(c), expected.explained_variance_ratio(c), 1e-10);
    EXPECT_NEAR(found.explained_variance(c) / expected.explained_variance(c), 1, 1e-10);
    const double sign = found.components.row(c).dot(expected.components.row(c)) < 0 ? -1 : 1;
    EXPECT_LT((found.components.row(c) - sign * expected.components.row(c)).norm(), 1e-9);
    EXPECT_LT((found.scores.col(c) - sign * expected.scores.col(c)).norm(),
              1e-9 * expected.scores.col(c).norm());
  }
}

TEST(Pca, MatchesScikitLearn) {
  for (const auto& c : test::projection_cases()) {
    SCOPED_TRACE(c.name);
    expect_equal(pca(c.rows, {}), c.pca);
    expect_equal(pca(c.rows, {.standardize = true}), c.standardized_pca);
  }
}

TEST(Pca, OfFewRowsAgreesWithTheCovariance) {
  // n ≤ D goes by the Gram matrix, n > D by the covariance: rows repeated twice have the same
  // components and shares.
  const Matrix rows = test::random_points(20, 24, 3, 1);
  Matrix twice(40, 24);
  twice << rows, rows;
  const PcaResult gram = pca(rows, {.n_components = 10});
  const PcaResult covariance = pca(twice, {.n_components = 10});
  EXPECT_LT((gram.components - covariance.components).norm(), 1e-9);
  EXPECT_LT((gram.scores - covariance.scores.topRows(20)).norm(), 1e-9);
  EXPECT_LT((gram.explained_variance_ratio - covariance.explained_variance_ratio).norm(), 1e-12);
  EXPECT_LT((gram.components * gram.components.transpose() - Matrix::Identity(10, 10)).norm(),
            1e-12);
}

TEST(Pca, LargestLoadingIsPositive) {
  const PcaResult result = pca(test::random_points(30, 7, 4, 2), {.n_components = 5});
  for (Eigen::Index c = 0; c < 5; ++c) {
    EXPECT_EQ(result.components.row(c).maxCoeff(), result.components.row(c).cwiseAbs().maxCoeff());
  }
  // Shares of two experts: the loadings are equal but for the sign, and the first one decides.
  Matrix shares(4, 2);
  shares << 0.9, 0.1, 0.3, 0.7, 0.2, 0.8, 0.45, 0.55;
  const PcaResult pair = pca(shares, {});
  EXPECT_NEAR(pair.components(0, 0), std::sqrt(0.5), 1e-12);
  EXPECT_NEAR(pair.components(0, 1), -std::sqrt(0.5), 1e-12);
  EXPECT_NEAR(pair.scores(0, 0), (0.9 - 0.4625) * std::sqrt(2), 1e-12);
}

TEST(Pca, ComponentsWithoutVarianceAreZero) {
  Matrix line(5, 3);
  for (int i = 0; i < 5; ++i) line.row(i) << 1 + 2 * i, 0.25, 5 - i;
  for (const bool standardize : {false, true}) {
    const PcaResult result = pca(line, {.standardize = standardize});
    EXPECT_NEAR(result.explained_variance_ratio(0), 1, 1e-14);
    EXPECT_EQ(result.explained_variance_ratio(1), 0);
    EXPECT_EQ(result.components.row(1).norm(), 0);
    EXPECT_EQ(result.scores.col(1).norm(), 0);
    EXPECT_EQ(result.components(0, 1), 0) << "a constant feature has no loading";
    EXPECT_TRUE(result.notices.empty());
  }
  const PcaResult one_feature = pca(line.leftCols(1), {});
  EXPECT_EQ(one_feature.components(0, 0), 1);
  EXPECT_EQ(one_feature.scores(4, 0), 4);
  EXPECT_EQ(one_feature.scores(4, 1), 0);
}

TEST(Pca, SaysWhatFewOrEqualRowsMean) {
  Matrix rows = Matrix::Constant(7, 3, 0.1);
  for (const bool standardize : {false, true}) {
    const PcaResult equal = pca(rows, {.standardize = standardize});
    EXPECT_EQ(equal.scores.norm(), 0);
    EXPECT_TRUE(std::isnan(equal.explained_variance_ratio(0)));
    ASSERT_EQ(equal.notices.size(), 1U);
    EXPECT_NE(equal.notices[0].find("all signatures are equal"), std::string::npos);
  }
  const PcaResult one = pca(rows.topRows(1), {});
  EXPECT_EQ(one.scores.norm(), 0);
  EXPECT_TRUE(std::isnan(one.explained_variance(1)));
  ASSERT_EQ(one.notices.size(), 1U);
  EXPECT_NE(one.notices[0].find("one prompt"), std::string::npos);

  rows(1, 0) = 0.4;
  const PcaResult two = pca(rows.topRows(2), {});
  EXPECT_NEAR(two.scores(1, 0) - two.scores(0, 0), 0.3, 1e-15);
  EXPECT_EQ(two.explained_variance_ratio(1), 0);
  ASSERT_EQ(two.notices.size(), 1U);
  EXPECT_NE(two.notices[0].find("two prompts"), std::string::npos);
}

TEST(Pca, RefusesWhatIsNoNumber) {
  Matrix rows = test::random_points(5, 3, 1, 3);
  rows(2, 1) = undefined;
  test::expect_error(ErrorKind::data, "row 2", [&] { pca(rows, {}); });
  test::expect_error(ErrorKind::data, "at least one row", [] { pca(Matrix(0, 3), {}); });
}

}  // namespace
}  // namespace moexray::stats
