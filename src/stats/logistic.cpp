#include "moexray/stats/logistic.h"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "lbfgs.h"
#include "logistic_loss.h"
#include "moexray/core/error.h"

namespace moexray::stats {
namespace {

using ColumnMatrix = Eigen::MatrixXd;

void check_input(const Matrix& rows, std::span<const int> classes, int n_classes) {
  const auto n = static_cast<std::size_t>(rows.rows());
  if (n_classes < 2 || n == 0 || classes.size() != n) {
    throw Error(ErrorKind::data,
                {"logistic regression",
                 {},
                 "two classes and a class for every row",
                 std::to_string(n_classes) + " classes, " + std::to_string(n) + " rows, " +
                     std::to_string(classes.size()) + " classes of rows"});
  }
  for (const int k : classes) {
    if (k < 0 || k >= n_classes) {
      throw Error(
          ErrorKind::data,
          {"class out of range", {}, "0 to " + std::to_string(n_classes - 1), std::to_string(k)});
    }
  }
  if (!rows.allFinite()) throw Error(ErrorKind::data, "features must be finite numbers");
}

LogisticModel minimize(const LogisticLoss& loss, const LogisticOptions& options,
                       Vector& parameters) {
  LogisticModel model;
  parameters = Vector::Zero(loss.n_parameters());
  const LbfgsResult result =
      minimize_lbfgs([&](const Vector& x, Vector& gradient) { return loss(x, gradient); },
                     parameters, {options.tolerance, options.max_iterations, 20});
  model.intercepts = parameters.tail(loss.n_outputs());
  model.converged = result.converged;
  model.n_iterations = result.n_iterations;
  model.gradient_norm = result.gradient_norm;
  return model;
}

}  // namespace

Standardizer::Standardizer(const Matrix& rows) : mean_(rows.colwise().mean()) {
  const auto n = static_cast<double>(rows.rows());
  scale_ = Eigen::RowVectorXd::Zero(rows.cols());
  Eigen::RowVectorXd variances = Eigen::RowVectorXd::Zero(rows.cols());
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    variances.array() += (rows.row(i) - mean_).array().square();
  }
  constexpr double epsilon = std::numeric_limits<double>::epsilon();
  for (Eigen::Index column = 0; column < rows.cols(); ++column) {
    const double variance = variances(column) / n;
    // What rounding can make of a constant column (the bound that scikit-learn uses).
    const double noise = n * epsilon * variance + std::pow(n * mean_(column) * epsilon, 2);
    if (variance > noise) scale_(column) = 1 / std::sqrt(variance);
  }
}

Matrix Standardizer::apply(const Matrix& rows) const {
  return ((rows.rowwise() - mean_).array().rowwise() * scale_.array()).matrix();
}

Matrix LogisticModel::scores(const Matrix& rows) const {
  Matrix result = rows * coefficients.transpose();
  result.rowwise() += intercepts.transpose();
  return result;
}

std::vector<int> LogisticModel::predict(const Matrix& rows) const {
  const Matrix s = scores(rows);
  std::vector<int> classes;
  for (Eigen::Index i = 0; i < s.rows(); ++i) {
    Eigen::Index best = 0;
    if (n_classes == 2) {
      best = s(i, 0) > 0 ? 1 : 0;
    } else {
      s.row(i).maxCoeff(&best);
    }
    classes.push_back(static_cast<int>(best));
  }
  return classes;
}

Matrix LogisticModel::probabilities(const Matrix& rows) const {
  const Matrix s = scores(rows);
  Matrix result(s.rows(), n_classes);
  for (Eigen::Index i = 0; i < s.rows(); ++i) {
    if (n_classes == 2) {
      // Each from its own side, so that small ones keep their digits.
      result(i, 0) = 1 / (1 + std::exp(s(i, 0)));
      result(i, 1) = 1 / (1 + std::exp(-s(i, 0)));
    } else {
      result.row(i) = (s.row(i).array() - s.row(i).maxCoeff()).exp();
      result.row(i) /= result.row(i).sum();
    }
  }
  return result;
}

LogisticModel fit_logistic(const Matrix& rows, std::span<const int> classes, int n_classes,
                           const LogisticOptions& options) {
  check_input(rows, classes, n_classes);
  const Eigen::Index n = rows.rows();
  const Eigen::Index d = rows.cols();
  Vector parameters;
  LogisticModel model;
  if (n >= d) {
    const LogisticLoss loss(rows, classes, n_classes, options.c);
    model = minimize(loss, options, parameters);
    model.coefficients =
        Eigen::Map<const ColumnMatrix>(parameters.data(), d, loss.n_outputs()).transpose();
  } else {
    const Eigen::HouseholderQR<ColumnMatrix> qr(rows.transpose());
    const ColumnMatrix r = qr.matrixQR().topRows(n).triangularView<Eigen::Upper>();
    const Matrix own = r.transpose();
    const LogisticLoss loss(own, classes, n_classes, options.c);
    model = minimize(loss, options, parameters);
    ColumnMatrix weights = ColumnMatrix::Zero(d, loss.n_outputs());
    weights.topRows(n) = Eigen::Map<const ColumnMatrix>(parameters.data(), n, loss.n_outputs());
    model.coefficients = (qr.householderQ() * weights).transpose();
  }
  model.n_classes = n_classes;
  return model;
}

}  // namespace moexray::stats
