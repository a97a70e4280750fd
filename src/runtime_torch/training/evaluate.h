#pragma once

#include <string>
#include <vector>

#include "../decoder.h"
#include "moexray/runtime/training.h"

namespace moexray::torch_runtime {

struct CategoryLoss {
  std::string category;
  double loss = 0;  ///< nats a token
  std::int64_t n_tokens = 0;
};

/// How evenly one layer used its experts on the validation set.
struct LayerBalance {
  int n_unused = 0;         ///< experts that no token selected
  int n_below_a_fifth = 0;  ///< experts below 1/5 of the uniform share
  double min_share = 0;     ///< smallest share of selections, divided by the uniform share
  double max_share = 0;     ///< largest share of selections, divided by the uniform share
};

struct Evaluation {
  std::vector<CategoryLoss> losses;
  std::vector<LayerBalance> layers;
};

/// Held-out loss by category and expert balance, over at most `max_windows` windows of n_positions
/// tokens a category.
Evaluation evaluate(const Decoder& model, const RotaryTable& table,
                    const std::vector<ValidationSet>& sets, const TrainingOptions& options,
                    std::int64_t max_windows);

}  // namespace moexray::torch_runtime
