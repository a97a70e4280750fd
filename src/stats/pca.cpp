#include "moexray/stats/pca.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "centred_features.h"
#include "moexray/core/error.h"

namespace moexray::stats {
namespace {

// Eigenvalues of X Xᵀ or XᵀX carry rounding errors of this size relative to their sum.
constexpr double rounding = 1e-13;

void fix_sign(Eigen::Ref<Eigen::RowVectorXd> component) {
  const double largest = component.cwiseAbs().maxCoeff();
  for (const double loading : component) {
    if (std::abs(loading) < largest * (1 - 1e-9)) continue;
    if (loading < 0) component = -component;
    return;
  }
}

Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> decompose(const Eigen::MatrixXd& lower) {
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(lower);
  if (solver.info() != Eigen::Success) {
    throw Error(ErrorKind::runtime, "PCA: the eigenvalue iteration did not converge");
  }
  return solver;
}

// The sums of squares along the leading directions, and these directions.
void leading_components(const Matrix& centred, double total, PcaResult& result) {
  const Eigen::Index n = centred.rows();
  const Eigen::Index d = centred.cols();
  const Eigen::Index size = std::min(n, d);
  Eigen::MatrixXd product = Eigen::MatrixXd::Zero(size, size);
  if (n <= d) {
    product.selfadjointView<Eigen::Lower>().rankUpdate(centred);
  } else {
    product.selfadjointView<Eigen::Lower>().rankUpdate(centred.transpose());
  }
  const auto solver = decompose(product);
  for (Eigen::Index c = 0; c < std::min(result.components.rows(), size); ++c) {
    // Eigen sorts eigenvalues in ascending order.
    const double squares = solver.eigenvalues()(size - 1 - c);
    if (squares <= rounding * total) break;
    const auto vector = solver.eigenvectors().col(size - 1 - c);
    auto component = result.components.row(c);
    if (n <= d) {
      component.noalias() = vector.transpose() * centred;
    } else {
      component = vector.transpose();
    }
    component /= component.norm();
    fix_sign(component);
    result.scores.col(c).noalias() = centred * component.transpose();
    result.explained_variance(c) = squares;
    result.explained_variance_ratio(c) = squares / total;
  }
}

}  // namespace

PcaResult pca(const Matrix& rows, const PcaOptions& options) {
  const Matrix centred = centred_features(rows, options.standardize);
  const Eigen::Index n = rows.rows();
  PcaResult result;
  result.scores = Matrix::Zero(n, options.n_components);
  result.components = Matrix::Zero(options.n_components, rows.cols());
  result.explained_variance = Vector::Zero(options.n_components);
  result.explained_variance_ratio = Vector::Zero(options.n_components);
  const double total = centred.squaredNorm();
  if (total > 0) {
    leading_components(centred, total, result);
    result.explained_variance /= static_cast<double>(n - 1);
    if (n == 2) result.notices.emplace_back("two prompts: a single component holds all variance");
    return result;
  }
  result.explained_variance_ratio.setConstant(undefined);
  if (n == 1) {
    result.explained_variance.setConstant(undefined);
    result.notices.emplace_back("only one prompt: there is no variance to explain");
  } else {
    result.notices.emplace_back(
        "all signatures are equal: there is no variance to explain, and all points coincide");
  }
  return result;
}

}  // namespace moexray::stats
