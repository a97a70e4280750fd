#include "moexray/stats/logistic.h"

#include <gtest/gtest.h>

#include <cmath>

#include "moexray/core/random.h"
#include "stats_support.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

double relative_distance(const Matrix& found, const Matrix& expected) {
  return (found - expected).norm() / expected.norm();
}

std::vector<Eigen::Index> rows_without_fold(const std::vector<int>& folds, int fold) {
  std::vector<Eigen::Index> rows;
  for (std::size_t i = 0; i < folds.size(); ++i) {
    if (folds[i] != fold) rows.push_back(static_cast<Eigen::Index>(i));
  }
  return rows;
}

TEST(Logistic, MatchesScikitLearn) {
  const auto cases = test::classifier_cases();
  ASSERT_EQ(cases.size(), 4U);
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const CategoryIndex categories = index_categories(c.signatures);
    const int n_classes = static_cast<int>(categories.names.size());
    const Matrix& all = c.signatures.values;
    LogisticModel model =
        fit_logistic(Standardizer(all).apply(all), categories.of_prompt, n_classes, {});
    EXPECT_TRUE(model.converged);
    ASSERT_EQ(model.coefficients.rows(), c.all_coefficients.rows());
    EXPECT_LT(relative_distance(model.coefficients, c.all_coefficients), 1e-5);
    EXPECT_LT((model.intercepts - c.all_intercepts).norm(), 1e-5);

    const auto rows = rows_without_fold(c.folds, 0);
    const Matrix train = all(rows, Eigen::all);
    std::vector<int> classes;
    for (const auto row : rows) {
      classes.push_back(categories.of_prompt[static_cast<std::size_t>(row)]);
    }
    model = fit_logistic(Standardizer(train).apply(train), classes, n_classes, {});
    EXPECT_LT(relative_distance(model.coefficients, c.without_fold_0_coefficients), 1e-5);
    EXPECT_LT((model.intercepts - c.without_fold_0_intercepts).norm(), 1e-5);
  }
}

// The objective as it is written, for any weights.
double plain_objective(const Matrix& x, const std::vector<int>& y, const Matrix& w, const Vector& b,
                       double c) {
  double loss = 0;
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    double sum = 0;
    for (Eigen::Index k = 0; k < w.rows(); ++k) sum += std::exp(w.row(k).dot(x.row(i)) + b(k));
    const int k = y[static_cast<std::size_t>(i)];
    loss += std::log(sum) - w.row(k).dot(x.row(i)) - b(k);
  }
  return c * loss + 0.5 * w.squaredNorm();
}

TEST(Logistic, IsAMinimumOfTheStatedObjective) {
  RandomStream random(5);
  for (const Eigen::Index d : {3, 40}) {  // more rows than features, and fewer
    Matrix x(20, d);
    std::vector<int> y;
    for (Eigen::Index i = 0; i < x.rows(); ++i) {
      for (Eigen::Index j = 0; j < d; ++j) x(i, j) = random.normal();
      y.push_back(static_cast<int>(i % 3));
    }
    const LogisticModel model = fit_logistic(x, y, 3, {.c = 0.7});
    ASSERT_TRUE(model.converged);
    const double best = plain_objective(x, y, model.coefficients, model.intercepts, 0.7);
    for (int trial = 0; trial < 50; ++trial) {
      Matrix w = model.coefficients;
      Vector b = model.intercepts;
      for (Eigen::Index i = 0; i < w.size(); ++i) w.data()[i] += 1e-3 * random.normal();
      for (Eigen::Index i = 0; i < b.size(); ++i) b(i) += 1e-3 * random.normal();
      EXPECT_GT(plain_objective(x, y, w, b, 0.7), best);
    }
  }
}

TEST(Logistic, SeparableDataWithHugeFeaturesConverges) {
  Matrix x(6, 2);
  x << 1e4, 1, 2e4, 2, 3e4, 3, -1e4, -1, -2e4, 2, -3e4, 0;
  const std::vector<int> y{0, 0, 0, 1, 1, 1};
  const LogisticModel model = fit_logistic(x, y, 2, {.c = 1e3});
  EXPECT_TRUE(model.coefficients.allFinite());
  EXPECT_EQ(model.predict(x), y);
}

TEST(Logistic, AFeatureOfZerosGetsNoWeight) {
  Matrix x(4, 3);
  x << 1, 0, 2, 2, 0, 1, -1, 0, 1, -2, 0, 3;
  const LogisticModel model = fit_logistic(x, std::vector<int>{0, 0, 1, 1}, 2, {});
  EXPECT_EQ(model.coefficients(0, 1), 0);
}

TEST(Logistic, RefusesWhatItCannotFit) {
  const Matrix x = Matrix::Ones(2, 2);
  const auto fit = [&](const Matrix& rows, std::vector<int> y, int k) {
    return [=] { fit_logistic(rows, y, k, {}); };
  };
  test::expect_error(ErrorKind::data, "two classes", fit(x, {0, 0}, 1));
  test::expect_error(ErrorKind::data, "a class for every row", fit(x, {0}, 2));
  test::expect_error(ErrorKind::data, "class out of range", fit(x, {0, 2}, 2));
  test::expect_error(ErrorKind::data, "finite", fit(x * std::nan(""), {0, 1}, 2));
}

TEST(Standardizer, ScalesByThePopulationDeviation) {
  Matrix x(4, 3);
  x << 1, 0.1, 5, 2, 0.1, 5, 3, 0.1, 5, 6, 0.1, 5;
  Matrix other(1, 3);
  other << 3, 7, 5;
  const Standardizer standardizer(x);
  const Matrix scaled = standardizer.apply(x);
  EXPECT_NEAR(scaled.col(0).mean(), 0, 1e-15);
  EXPECT_NEAR(scaled.col(0).squaredNorm() / 4, 1, 1e-15);
  EXPECT_EQ(scaled.col(1), Vector(Vector::Zero(4)));
  EXPECT_EQ(scaled.col(2), Vector(Vector::Zero(4)));
  EXPECT_EQ(standardizer.apply(other)(0, 1), 0);
  EXPECT_NEAR(standardizer.apply(other)(0, 0), 0, 1e-15);
}

}  // namespace
}  // namespace moexray::stats
