#include "moexray/stats/logistic.h"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "lbfgs.h"
#include "moexray/core/error.h"

namespace moexray::stats {
namespace {

using ColumnMatrix = Eigen::MatrixXd;

// log(1 + e^x) without overflow.
double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

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

// Parameters are one vector: the weights of each output (features contiguous), then the intercepts.
class Loss {
 public:
  Loss(Matrix features, std::span<const int> classes, int n_classes, double c)
      : features_(std::move(features)),
        classes_(classes),
        n_outputs_(n_classes == 2 ? 1 : n_classes),
        c_(c) {}

  Eigen::Index n_outputs() const { return n_outputs_; }
  Eigen::Index n_parameters() const { return n_outputs_ * (features_.cols() + 1); }

  double operator()(const Vector& parameters, Vector& gradient) const {
    const Eigen::Index d = features_.cols();
    const Eigen::Map<const ColumnMatrix> weights(parameters.data(), d, n_outputs_);
    const auto intercepts = parameters.tail(n_outputs_);
    gradient = Vector::Zero(parameters.size());
    Eigen::Map<ColumnMatrix> weight_gradient(gradient.data(), d, n_outputs_);
    double loss = 0;
    // Strips of rows that stay in the cache between their two uses.
    constexpr Eigen::Index rows_at_once = 128;
    for (Eigen::Index first = 0; first < features_.rows(); first += rows_at_once) {
      const auto rows =
          features_.middleRows(first, std::min(rows_at_once, features_.rows() - first));
      // [rows, outputs]: scores first, their derivatives of the cross-entropy after.
      ColumnMatrix scores = rows * weights;
      scores.rowwise() += intercepts.transpose();
      loss += n_outputs_ == 1 ? binary(first, scores) : multinomial(first, scores);
      weight_gradient.noalias() += rows.transpose() * scores;
      gradient.tail(n_outputs_) += scores.colwise().sum().transpose();
    }
    gradient *= c_;
    weight_gradient += weights;
    return c_ * loss + 0.5 * weights.squaredNorm();
  }

 private:
  double binary(Eigen::Index first, ColumnMatrix& scores) const {
    double loss = 0;
    for (Eigen::Index i = 0; i < scores.rows(); ++i) {
      const double score = scores(i, 0);
      const bool positive = classes_[static_cast<std::size_t>(first + i)] == 1;
      loss += softplus(positive ? -score : score);
      // σ(s) − 1 = −σ(−s), written so that neither side cancels.
      scores(i, 0) = positive ? -1 / (1 + std::exp(score)) : 1 / (1 + std::exp(-score));
    }
    return loss;
  }

  double multinomial(Eigen::Index first, ColumnMatrix& scores) const {
    double loss = 0;
    for (Eigen::Index i = 0; i < scores.rows(); ++i) {
      const int truth = classes_[static_cast<std::size_t>(first + i)];
      const double highest = scores.row(i).maxCoeff();
      const double true_score = scores(i, truth) - highest;
      scores.row(i) = (scores.row(i).array() - highest).exp();
      const double sum = scores.row(i).sum();
      loss += std::log(sum) - true_score;
      scores.row(i) /= sum;
      scores(i, truth) -= 1;
    }
    return loss;
  }

  Matrix features_;  // [n, d]
  std::span<const int> classes_;
  Eigen::Index n_outputs_;
  double c_;
};

LogisticModel minimize(const Loss& loss, const LogisticOptions& options, Vector& parameters) {
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
  constexpr double epsilon = std::numeric_limits<double>::epsilon();
  for (Eigen::Index column = 0; column < rows.cols(); ++column) {
    const double variance = (rows.col(column).array() - mean_(column)).square().sum() / n;
    // What rounding can make of a constant column (the bound that scikit-learn uses).
    const double noise = n * epsilon * variance + std::pow(n * mean_(column) * epsilon, 2);
    if (variance > noise) scale_(column) = 1 / std::sqrt(variance);
  }
}

Matrix Standardizer::apply(const Matrix& rows) const {
  return ((rows.rowwise() - mean_).array().rowwise() * scale_.array()).matrix();
}

std::vector<int> LogisticModel::predict(const Matrix& rows) const {
  Matrix scores = rows * coefficients.transpose();
  scores.rowwise() += intercepts.transpose();
  std::vector<int> classes;
  for (Eigen::Index i = 0; i < scores.rows(); ++i) {
    Eigen::Index best = 0;
    if (n_classes == 2) {
      best = scores(i, 0) > 0 ? 1 : 0;
    } else {
      scores.row(i).maxCoeff(&best);
    }
    classes.push_back(static_cast<int>(best));
  }
  return classes;
}

LogisticModel fit_logistic(const Matrix& rows, std::span<const int> classes, int n_classes,
                           const LogisticOptions& options) {
  check_input(rows, classes, n_classes);
  const Eigen::Index n = rows.rows();
  const Eigen::Index d = rows.cols();
  Vector parameters;
  LogisticModel model;
  if (n >= d) {
    const Loss loss(rows, classes, n_classes, options.c);
    model = minimize(loss, options, parameters);
    model.coefficients =
        Eigen::Map<const ColumnMatrix>(parameters.data(), d, loss.n_outputs()).transpose();
  } else {
    const Eigen::HouseholderQR<ColumnMatrix> qr(rows.transpose());
    const ColumnMatrix r = qr.matrixQR().topRows(n).triangularView<Eigen::Upper>();
    const Loss loss(r.transpose(), classes, n_classes, options.c);
    model = minimize(loss, options, parameters);
    ColumnMatrix weights = ColumnMatrix::Zero(d, loss.n_outputs());
    weights.topRows(n) = Eigen::Map<const ColumnMatrix>(parameters.data(), n, loss.n_outputs());
    model.coefficients = (qr.householderQ() * weights).transpose();
  }
  model.n_classes = n_classes;
  return model;
}

}  // namespace moexray::stats
