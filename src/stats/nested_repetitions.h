#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "fold_models.h"
#include "moexray/stats/nested_cv.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/units.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

/// What nested cross-validation divides, the same for all feature sets.
struct NestedDesign {
  std::span<const std::string> ids;
  const CategoryIndex& categories;
  const Units& units;
  int n_folds = 5;
  int n_repetitions = 200;
  std::uint64_t seed = 0;
  int n_threads = 1;  ///< repetitions at the same time; does not change the result
  Work work = {};     ///< a step is a repetition
};

/// The features of a repetition: the same for all, or a new draw for each.
using RepetitionFeatures = std::function<FeatureMaker(int repetition)>;

/// Repeated nested cross-validation; repetition r has the same folds for all features.
/// @return [losses][repetitions]
/// @throws Error (data) as grouped_folds, (interrupted).
std::vector<std::vector<NestedLosses>> nested_repetitions(
    const NestedDesign& design, const RepetitionFeatures& features, const PipelineOptions& options,
    std::span<double (*const)(const Eigen::RowVectorXd&, int)> losses);

/// About how many multiplications a repetition takes for one feature set of the size of signatures,
/// and a labelling of one division into folds: what decides how many are affordable.
double repetition_operations(const Signatures& signatures, int n_folds);
double labelling_operations(const Signatures& signatures, int n_folds);

/// Whether this many folds leave enough to train on: nested cross-validation leaves out two, and
/// one more where a penalty is to be chosen.
bool allows_nesting(int n_folds, const PipelineOptions& options);

}  // namespace moexray::stats
