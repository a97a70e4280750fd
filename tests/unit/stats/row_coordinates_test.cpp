#include "row_coordinates.h"

#include <gtest/gtest.h>

#include "moexray/core/random.h"
#include "moexray/stats/logistic.h"

namespace moexray::stats {
namespace {

struct Data {
  Matrix rows;  // the first 24 train
  std::vector<int> classes;
};
constexpr Eigen::Index n_train = 24;

Data random_data(Eigen::Index n_features, int n_classes, std::uint64_t seed) {
  RandomStream random(seed);
  Data data{Matrix(30, n_features), {}};
  for (Eigen::Index i = 0; i < data.rows.rows(); ++i) {
    data.classes.push_back(static_cast<int>(i) % n_classes);
    for (Eigen::Index j = 0; j < n_features; ++j) {
      data.rows(i, j) = random.normal() + 0.5 * data.classes.back() * static_cast<double>(j % 3);
    }
  }
  data.rows.col(1).setConstant(0.3);
  return data;
}

// Log odds by fit_logistic, relative to the first class.
Matrix reference_scores(const Matrix& train, const Matrix& test, std::span<const int> classes,
                        int n_classes, double c) {
  const LogisticModel model = fit_logistic(train, classes.first(n_train), n_classes, {.c = c});
  Matrix scores = test * model.coefficients.transpose();
  scores.rowwise() += model.intercepts.transpose();
  if (n_classes == 2) return scores;
  return scores.rightCols(n_classes - 1).colwise() - scores.col(0);
}

Matrix coordinate_scores(const RowCoordinates& coordinates, std::span<const int> classes,
                         int n_classes, double c) {
  CoordinateFit fit;
  fit_in_coordinates(coordinates, classes.first(n_train), n_classes, c, 1e-8, fit);
  EXPECT_TRUE(fit.converged);
  const Matrix scores = test_scores(coordinates, fit, n_classes);
  return scores.rightCols(n_classes - 1).colwise() - scores.col(0);
}

TEST(RowCoordinates, FitTheSameModelAsTheFeatures) {
  for (const Eigen::Index n_features : {5, 60}) {
    for (const int n_classes : {2, 3}) {
      for (const double c : {0.1, 1.0, 100.0}) {
        const Data data = random_data(n_features, n_classes, 3);
        const Standardizer standardizer(data.rows.topRows(n_train));
        const Matrix scaled = standardizer.apply(data.rows);
        const Matrix expected = reference_scores(scaled.topRows(n_train), scaled.bottomRows(6),
                                                 data.classes, n_classes, c);
        const Matrix found = coordinate_scores(row_coordinates({{data.rows, true}}, n_train, false),
                                               data.classes, n_classes, c);
        EXPECT_LT((found - expected).cwiseAbs().maxCoeff(), 1e-5)
            << n_features << " features, " << n_classes << " classes, C " << c;
      }
    }
  }
}

TEST(RowCoordinates, BlocksOfUnitSizeWeighTheSame) {
  const Data a = random_data(40, 3, 1);
  const Data b = random_data(7, 3, 2);
  const auto unit = [](Matrix rows) {
    rows.rowwise() -= Eigen::RowVectorXd(rows.topRows(n_train).colwise().mean());
    return Matrix(rows / std::sqrt(rows.topRows(n_train).squaredNorm() / n_train));
  };
  Matrix joined(30, 47);
  joined << unit(Standardizer(a.rows.topRows(n_train)).apply(a.rows)), unit(b.rows);
  const Matrix expected =
      reference_scores(joined.topRows(n_train), joined.bottomRows(6), a.classes, 3, 10);
  const Matrix found = coordinate_scores(
      row_coordinates({{a.rows, true}, {b.rows, false}}, n_train, true), a.classes, 3, 10);
  EXPECT_LT((found - expected).cwiseAbs().maxCoeff(), 1e-5);
}

TEST(RowCoordinates, AWarmStartEndsAtTheSameModel) {
  const Data data = random_data(60, 3, 4);
  const RowCoordinates coordinates = row_coordinates({{data.rows, true}}, n_train, true);
  const auto train = std::span<const int>(data.classes).first(n_train);
  CoordinateFit cold;
  fit_in_coordinates(coordinates, train, 3, 100, 1e-8, cold);
  CoordinateFit warm;
  fit_in_coordinates(coordinates, train, 3, 10, 1e-8, warm);
  fit_in_coordinates(coordinates, train, 3, 100, 1e-8, warm);
  EXPECT_LT(
      (test_scores(coordinates, cold, 3) - test_scores(coordinates, warm, 3)).cwiseAbs().maxCoeff(),
      1e-5);
}

TEST(RowCoordinates, FeaturesWithoutVariationSayNothing) {
  const RowCoordinates coordinates =
      row_coordinates({{Matrix::Constant(30, 40, 2.5), true}}, n_train, true);
  CoordinateFit fit;
  const Data data = random_data(3, 3, 5);
  fit_in_coordinates(coordinates, std::span<const int>(data.classes).first(n_train), 3, 1, 1e-8,
                     fit);
  const Matrix scores = test_scores(coordinates, fit, 3);
  EXPECT_LT((scores.rowwise() - scores.row(0)).cwiseAbs().maxCoeff(), 1e-12);
}

}  // namespace
}  // namespace moexray::stats
