#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include "moexray/stats/matrix.h"

namespace moexray::stats {

/// log(1 + e^x) without overflow.
inline double log1p_exp(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

/// C·Σ cross-entropy + ½‖W‖² and its gradient. Parameters are one vector: the weights of each
/// output (features contiguous), then the intercepts; two classes have one output, the log odds of
/// class 1.
class LogisticLoss {
 public:
  /// `features` [n, d] and `classes` [n] must outlive this.
  LogisticLoss(const Matrix& features, std::span<const int> classes, int n_classes, double c)
      : features_(features), classes_(classes), n_outputs_(n_classes == 2 ? 1 : n_classes), c_(c) {}

  Eigen::Index n_outputs() const { return n_outputs_; }
  Eigen::Index n_parameters() const { return n_outputs_ * (features_.cols() + 1); }

  double operator()(const Vector& parameters, Vector& gradient) const {
    const Eigen::Index d = features_.cols();
    const Eigen::Map<const Eigen::MatrixXd> weights(parameters.data(), d, n_outputs_);
    const auto intercepts = parameters.tail(n_outputs_);
    gradient = Vector::Zero(parameters.size());
    Eigen::Map<Eigen::MatrixXd> weight_gradient(gradient.data(), d, n_outputs_);
    double loss = 0;
    // Strips of rows that stay in the cache between their two uses.
    constexpr Eigen::Index rows_at_once = 128;
    for (Eigen::Index first = 0; first < features_.rows(); first += rows_at_once) {
      const auto rows =
          features_.middleRows(first, std::min(rows_at_once, features_.rows() - first));
      // [rows, outputs]: scores first, their derivatives of the cross-entropy after.
      Eigen::MatrixXd scores = rows * weights;
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
  double binary(Eigen::Index first, Eigen::MatrixXd& scores) const {
    double loss = 0;
    for (Eigen::Index i = 0; i < scores.rows(); ++i) {
      const double score = scores(i, 0);
      const bool positive = classes_[static_cast<std::size_t>(first + i)] == 1;
      loss += log1p_exp(positive ? -score : score);
      // σ(s) − 1 = −σ(−s), written so that neither side cancels.
      scores(i, 0) = positive ? -1 / (1 + std::exp(score)) : 1 / (1 + std::exp(-score));
    }
    return loss;
  }

  double multinomial(Eigen::Index first, Eigen::MatrixXd& scores) const {
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

  const Matrix& features_;  // [n, d]
  std::span<const int> classes_;
  Eigen::Index n_outputs_;
  double c_;
};

}  // namespace moexray::stats
