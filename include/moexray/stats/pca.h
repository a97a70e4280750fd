#pragma once

#include <string>
#include <vector>

#include "moexray/stats/matrix.h"

namespace moexray::stats {

struct PcaOptions {
  int n_components = 2;
  bool standardize = false;  ///< scale features to standard deviation 1; constant ones become 0
};

/// A component without variance (there are at most min(n − 1, D) with any) has zero scores and zero
/// loadings.
struct PcaResult {
  Matrix scores;                    ///< [n, C] coordinates of the rows
  Matrix components;                ///< [C, D] loadings, unit length, orthogonal
  Vector explained_variance;        ///< [C] λ, n − 1 in the denominator; undefined for one row
  Vector explained_variance_ratio;  ///< [C] λ_c / Σλ; undefined without any variance
  std::vector<std::string> notices;
};

/// Principal component analysis, exact: the eigenvectors of the covariance matrix XᵀX/(n − 1) of
/// the centred rows X, largest eigenvalue first. For n ≤ D they come from the n × n Gram matrix X
/// Xᵀ, whose eigenvectors u give the components Xᵀu/‖Xᵀu‖.
///
/// Sign: the loading of largest absolute value is positive; of loadings that tie (to 1e-9), the
/// first.
/// @param rows [n, D], n ≥ 1, D ≥ 1.
/// @throws Error (data) without rows or features, or if a value is not finite.
PcaResult pca(const Matrix& rows, const PcaOptions& options);

}  // namespace moexray::stats
