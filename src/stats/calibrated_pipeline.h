#pragma once

#include "fold_models.h"

namespace moexray::stats {

/// The classifier whose held-out cross-entropy bounds what signatures tell: log odds scaled in
/// inner folds, probabilities mixed with 1% of the training proportions.
inline PipelineOptions calibrated_pipeline() {
  return {.grid = shared_grid, .unit_size = true, .calibrate = true, .prior_share = 0.01};
}

}  // namespace moexray::stats
