#pragma once

#include <cstddef>
#include <vector>

#include "moexray/stats/matrix.h"

namespace moexray::stats {

/// How evenly E experts share the selections c_e of a layer. Undefined where there are none.
struct LoadMetrics {
  double cv = undefined;             ///< population standard deviation of c over its mean
  double max_over_mean = undefined;  ///< less 1 it is MaxVio, the largest violation of balance
  /// H = −Σ s ln s over ln E, s = c/Σc: 1 if even, 0 if one expert has all; undefined for E = 1.
  double entropy = undefined;
  /// exp(H)/E: the share of the experts that, used evenly, would have the same entropy.
  double effective_share = undefined;
  /// Σ_i (2i − E − 1) c_(i) / (E Σc), c_(1) ≤ … ≤ c_(E): 0 if even, (E − 1)/E if one has all.
  double gini = undefined;
  /// Of the devices that hold the experts: mean of their selections over the largest, 1 if even;
  /// undefined without devices.
  double balancedness = undefined;
};

/// @param counts [E], not negative
LoadMetrics load_metrics(const Eigen::RowVectorXd& counts);

/// Which devices hold which experts, as expert parallelism has it. Device d has the slots from
/// d·(P/G) on, P/G each; where G does not divide P, the first P mod G devices have one more.
struct ExpertPlacement {
  int n_devices = 0;  ///< G; 0: there are none
  /// [1 or L] of [P]: the expert in each slot of a layer (of every layer). An expert with several
  /// slots gives each the same part of its selections. Empty: expert e is in slot e.
  std::vector<std::vector<int>> slots = {};
};

/// The selections of each device at a layer: [G].
/// @param counts [E], every expert of which has a slot
Eigen::RowVectorXd device_loads(const Eigen::RowVectorXd& counts, const ExpertPlacement& placement,
                                int layer);

}  // namespace moexray::stats
