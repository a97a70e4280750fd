#pragma once

#include <span>
#include <vector>

#include "moexray/stats/matrix.h"

namespace moexray::stats {

/// Scales features to mean 0 and population standard deviation 1, as measured on training rows.
/// A feature that is constant there becomes 0.
class Standardizer {
 public:
  /// @param rows [n, D], n ≥ 1.
  explicit Standardizer(const Matrix& rows);
  /// @param rows [m, D] @return [m, D]
  Matrix apply(const Matrix& rows) const;

 private:
  Eigen::RowVectorXd mean_;
  Eigen::RowVectorXd scale_;  // 1/σ, or 0 for a constant feature
};

struct LogisticOptions {
  double c = 1;             ///< C: weight of the data against the penalty
  double tolerance = 1e-7;  ///< stop when ‖gradient‖ ≤ tolerance · max(1, ‖parameters‖)
  int max_iterations = 20000;
};

/// A fitted logistic regression.
struct LogisticModel {
  int n_classes = 0;
  Matrix coefficients;  ///< [n_classes, D]; for two classes [1, D], the log odds of class 1
  Vector intercepts;    ///< [rows of coefficients]
  bool converged = false;
  int n_iterations = 0;
  double gradient_norm = 0;  ///< bounds the distance of the coefficients from the optimum

  /// The most probable class of each row; ties: the lower class.
  /// @param rows [m, D] @return [m]
  std::vector<int> predict(const Matrix& rows) const;

  /// The probability of each class: softmax(W x + b), or the logistic function of the log odds.
  /// @param rows [m, D] @return [m, n_classes], rows that sum to 1
  Matrix probabilities(const Matrix& rows) const;

 private:
  Matrix scores(const Matrix& rows) const;  // [m, rows of coefficients]
};

/// Multinomial logistic regression: minimises C·Σ_i cross-entropy(y_i, softmax(W x_i + b)) + ½‖W‖²
/// with b unpenalised; for two classes one binary logistic regression, C·Σ_i log(1 + e^{−±(w·x_i +
/// b)}) + ½‖w‖² (both as scikit-learn's LogisticRegression). By L-BFGS from 0.
///
/// With fewer rows than features the problem is solved in the rows' own coordinates: the optimal W
/// lies in their span, and Xᵀ = Q R turns X into the n × n matrix Rᵀ without changing inner
/// products.
/// @param rows [n, D] features; @param classes [n] in 0 … n_classes − 1, n_classes ≥ 2.
/// @throws Error (data) if sizes disagree, a class is out of range, or a feature is not finite.
LogisticModel fit_logistic(const Matrix& rows, std::span<const int> classes, int n_classes,
                           const LogisticOptions& options);

}  // namespace moexray::stats
