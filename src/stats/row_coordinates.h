#pragma once

#include <span>
#include <vector>

#include "moexray/stats/matrix.h"

namespace moexray::stats {

/// Some features of the rows of one split: the training rows first, the held-out rows after.
struct FeatureBlock {
  Matrix rows;              ///< [n_train + n_test, D]
  bool standardize = true;  ///< by the training rows; otherwise columns are only centred
};

/// All features of a split. Several blocks weigh the same: each is scaled as a whole.
using FeatureBlocks = std::vector<FeatureBlock>;

/// The rows of a split in as few coordinates as their inner products need. An L2-penalised model is
/// a function of inner products alone, so it can be fitted here whatever the number of features,
/// and one set of coordinates serves every penalty and every labelling of the rows.
///
/// With fewer training rows than features the coordinates are principal axes of the training rows:
/// G = U Λ Uᵀ gives U Λ^½ for the training rows, and G_test U Λ^(−½) for the others, whose part
/// outside the training rows' span no model sees.
struct RowCoordinates {
  Matrix train;      ///< [n_train, r]
  Matrix test;       ///< [n_test, r]
  Vector curvature;  ///< [r] Σ of squares over the training rows
};

/// @param unit_size true: every block is divided by the root mean squared length of its training
///        rows, so that one penalty means the same for any number of features.
RowCoordinates row_coordinates(const FeatureBlocks& blocks, Eigen::Index n_train, bool unit_size);

/// A logistic regression in row coordinates that a later fit may start from.
struct CoordinateFit {
  Vector parameters;  ///< as LogisticLoss has them; empty: none yet
  bool converged = false;
  int n_iterations = 0;
};

/// Fits as fit_logistic does (same objective), starting from `fit.parameters` if there are any, by
/// L-BFGS that is preconditioned with the curvature of every coordinate.
/// @param classes [n_train] 0 … n_classes − 1
void fit_in_coordinates(const RowCoordinates& coordinates, std::span<const int> classes,
                        int n_classes, double c, double tolerance, CoordinateFit& fit);

/// Log odds of the classes of the held-out rows, [n_test, n_classes]; of two classes the first has
/// 0.
Matrix test_scores(const RowCoordinates& coordinates, const CoordinateFit& fit, int n_classes);

}  // namespace moexray::stats
