#include "row_coordinates.h"

#include <Eigen/Eigenvalues>
#include <cmath>

#include "lbfgs.h"
#include "logistic_loss.h"
#include "moexray/stats/logistic.h"

namespace moexray::stats {
namespace {

// Centred, and standardised if the block wants it, by the training rows.
Matrix scaled_rows(const FeatureBlock& block, Eigen::Index n_train) {
  if (block.standardize) return Standardizer(block.rows.topRows(n_train)).apply(block.rows);
  const Eigen::RowVectorXd mean = block.rows.topRows(n_train).colwise().mean();
  return block.rows.rowwise() - mean;
}

// What a block is multiplied by; 0 if its training rows are all alike.
double size_factor(double sum_of_squares, Eigen::Index n_train, bool unit_size) {
  if (!unit_size) return 1;
  constexpr double noise = 1e-20;
  return sum_of_squares > noise ? std::sqrt(static_cast<double>(n_train) / sum_of_squares) : 0;
}

RowCoordinates feature_coordinates(const FeatureBlocks& blocks, Eigen::Index n_train,
                                   Eigen::Index n_features, bool unit_size) {
  const Eigen::Index n = blocks.front().rows.rows();
  Matrix all(n, n_features);
  Eigen::Index column = 0;
  for (const FeatureBlock& block : blocks) {
    const Matrix rows = scaled_rows(block, n_train);
    all.middleCols(column, rows.cols()) =
        rows * size_factor(rows.topRows(n_train).squaredNorm(), n_train, unit_size);
    column += rows.cols();
  }
  RowCoordinates result{all.topRows(n_train), all.bottomRows(n - n_train), {}};
  result.curvature = result.train.colwise().squaredNorm();
  return result;
}

RowCoordinates principal_coordinates(const FeatureBlocks& blocks, Eigen::Index n_train,
                                     bool unit_size) {
  const Eigen::Index n = blocks.front().rows.rows();
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(n, n_train);
  for (const FeatureBlock& block : blocks) {
    const Matrix rows = scaled_rows(block, n_train);
    const double factor = size_factor(rows.topRows(n_train).squaredNorm(), n_train, unit_size);
    gram.noalias() += factor * factor * (rows * rows.topRows(n_train).transpose());
  }
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram.topRows(n_train));
  const Vector& values = solver.eigenvalues();  // ascending
  const double smallest = 1e-10 * std::max(values(n_train - 1), 0.0);
  Eigen::Index r = 0;
  while (r < n_train && values(n_train - 1 - r) > smallest) ++r;
  RowCoordinates result;
  result.curvature = values.tail(r);
  const Vector roots = result.curvature.cwiseSqrt();
  const auto axes = solver.eigenvectors().rightCols(r);
  result.train = axes * roots.asDiagonal();
  result.test = gram.bottomRows(n - n_train) * axes * roots.cwiseInverse().asDiagonal();
  return result;
}

}  // namespace

RowCoordinates row_coordinates(const FeatureBlocks& blocks, Eigen::Index n_train, bool unit_size) {
  Eigen::Index n_features = 0;
  for (const FeatureBlock& block : blocks) n_features += block.rows.cols();
  return n_features <= n_train ? feature_coordinates(blocks, n_train, n_features, unit_size)
                               : principal_coordinates(blocks, n_train, unit_size);
}

void fit_in_coordinates(const RowCoordinates& coordinates, std::span<const int> classes,
                        int n_classes, double c, double tolerance, CoordinateFit& fit) {
  const LogisticLoss loss(coordinates.train, classes, n_classes, c);
  if (fit.parameters.size() != loss.n_parameters()) {
    fit.parameters = Vector::Zero(loss.n_parameters());
  }
  // The Hessian's diagonal for predictions that are sure of most rows.
  constexpr double p_times_rest = 0.05;
  const Eigen::Index r = coordinates.train.cols();
  Vector inverse_curvature(loss.n_parameters());
  for (Eigen::Index k = 0; k < loss.n_outputs(); ++k) {
    inverse_curvature.segment(k * r, r) =
        (1 + c * p_times_rest * coordinates.curvature.array()).inverse();
  }
  inverse_curvature.tail(loss.n_outputs())
      .setConstant(1 / (c * p_times_rest * static_cast<double>(coordinates.train.rows())));
  LbfgsOptions options;
  options.tolerance = tolerance;
  options.inverse_curvature = &inverse_curvature;
  const LbfgsResult result =
      minimize_lbfgs([&](const Vector& x, Vector& gradient) { return loss(x, gradient); },
                     fit.parameters, options);
  fit.converged = result.converged;
  fit.n_iterations = result.n_iterations;
}

Matrix test_scores(const RowCoordinates& coordinates, const CoordinateFit& fit, int n_classes) {
  const Eigen::Index n_outputs = n_classes == 2 ? 1 : n_classes;
  const Eigen::Index r = coordinates.train.cols();
  const Eigen::Map<const Eigen::MatrixXd> weights(fit.parameters.data(), r, n_outputs);
  Matrix scores = Matrix::Zero(coordinates.test.rows(), n_classes);
  scores.rightCols(n_outputs) = coordinates.test * weights;
  scores.rightCols(n_outputs).rowwise() += fit.parameters.tail(n_outputs).transpose();
  return scores;
}

}  // namespace moexray::stats
