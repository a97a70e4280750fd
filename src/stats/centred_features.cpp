#include "centred_features.h"

#include <string>

#include "moexray/core/error.h"
#include "moexray/stats/logistic.h"

namespace moexray::stats {

Matrix centred_features(const Matrix& rows, bool standardize) {
  if (rows.rows() < 1 || rows.cols() < 1) {
    throw Error(ErrorKind::data,
                {"projection",
                 {},
                 "at least one row and one feature",
                 std::to_string(rows.rows()) + " × " + std::to_string(rows.cols())});
  }
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    if (!rows.row(i).allFinite()) {
      throw Error(
          ErrorKind::data,
          {"projection", {}, "finite numbers", "one that is not in row " + std::to_string(i)});
    }
  }
  if (standardize) return Standardizer(rows).apply(rows);
  const Eigen::RowVectorXd mean = rows.colwise().mean();
  Matrix centred = rows.rowwise() - mean;
  if (centred.squaredNorm() <= 1e-28 * rows.squaredNorm()) centred.setZero();
  return centred;
}

}  // namespace moexray::stats
