#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "moexray/stats/nested_cv.h"
#include "row_coordinates.h"

namespace moexray::stats {

/// How a classifier is chosen and fitted; every choice is made inside the training folds.
struct PipelineOptions {
  /// C, ascending. Of several the one with the least log loss over the training folds is taken,
  /// each of which is predicted by the others; ties: the smaller.
  std::vector<double> grid = {1};
  bool unit_size = false;   ///< see row_coordinates
  bool calibrate = false;   ///< scale the log odds to the least log loss over the training folds
  double prior_share = 0;   ///< of the training proportions mixed into the probabilities
  double tolerance = 1e-4;  ///< of the fits: log odds are within about 0.001 of the optimum
};

/// The grid that all feature sets share; rows have a mean squared length of 1.
inline const std::vector<double> shared_grid = {0.1, 1, 10, 100, 1000};

/// A set of folds as bits: fold f is bit f.
using FoldSet = std::uint64_t;
inline constexpr int max_nested_folds = 64;

/// The rows of a split: everything outside the left-out folds trains, everything inside is
/// predicted.
struct SplitRows {
  std::vector<Eigen::Index> train;
  std::vector<Eigen::Index> test;
};
SplitRows split_rows(std::span<const int> folds, FoldSet left_out);

/// Features of a split. Labels play no part in them.
using FeatureMaker = std::function<FeatureBlocks(const SplitRows&)>;

/// Row coordinates by the folds left out.
using CoordinateStore = std::map<FoldSet, std::shared_ptr<const RowCoordinates>>;

/// The coordinates of all splits that leave out one fold, and where something is chosen inside the
/// training folds two: what permutations of the labels share.
CoordinateStore shared_coordinates(const FeatureMaker& features, std::span<const int> folds,
                                   int n_folds, const PipelineOptions& options, int n_threads);

/// What a model that did not see some folds says of the prompts in them.
struct HeldOut {
  std::vector<Eigen::Index> rows;
  Matrix probabilities;  ///< [rows, K]
};

/// The models of one division into folds, for one labelling. A model is wanted several times (to
/// choose C for a larger training set, and as the model itself) and fitted once.
class FoldModels {
 public:
  /// `features` and `shared` (may be null) must outlive this; `labels` [n] in 0 … n_classes − 1.
  FoldModels(const FeatureMaker& features, std::span<const int> labels, int n_classes,
             std::span<const int> folds, int n_folds, const PipelineOptions& options,
             const CoordinateStore* shared = nullptr);

  /// The whole pipeline on the folds not left out.
  HeldOut predict(FoldSet left_out);

 private:
  struct Split {
    SplitRows rows;
    std::vector<int> classes;   // of the training rows, numbered without gaps
    std::vector<int> category;  // of each of these numbers
    Vector prior;               // [K] shares of the training rows
    std::shared_ptr<const RowCoordinates> coordinates;
    std::vector<Matrix> scores;  // [C] of the test rows, [rows, K]; filled as far as needed
    CoordinateFit fit;           // the last one
  };

  Split& split(FoldSet left_out);
  const Matrix& scores(Split& split, std::size_t c_index);
  std::size_t choose_c(FoldSet left_out);
  double calibration(FoldSet left_out, std::size_t c_index);

  const FeatureMaker& features_;
  std::span<const int> labels_;
  int n_classes_;
  std::span<const int> folds_;
  int n_folds_;
  const PipelineOptions& options_;
  const CoordinateStore* shared_;
  std::map<FoldSet, Split> splits_;
};

/// Losses that a prediction can have.
double error_loss(const Eigen::RowVectorXd& probabilities, int label);     ///< 0 or 1
double log_loss_bits(const Eigen::RowVectorXd& probabilities, int label);  ///< −log2 p

/// Predicted class: the most probable, ties: the lower.
int predicted_class(const Eigen::RowVectorXd& probabilities);

/// Losses of one division into folds, [losses] each.
std::vector<NestedLosses> nested_losses(
    FoldModels& models, std::span<const int> labels, std::span<const int> folds, int n_folds,
    std::span<double (*const)(const Eigen::RowVectorXd&, int)> losses);

/// The most probable class of every prompt by the model without its fold, [n].
std::vector<int> held_out_classes(FoldModels& models, std::size_t n, int n_folds);

}  // namespace moexray::stats
