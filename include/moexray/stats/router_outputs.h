#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "moexray/core/routing.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/selection.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

/// What routers computed of all experts before they chose, over the selected tokens.
struct RouterOutputs {
  Matrix probabilities;  ///< [L, E] P_e: mean over tokens of softmax(logits)
  Vector z_loss;         ///< [L] mean over tokens of (ln Σ_e exp(logit_e))², as in ST-MoE
};

/// Collects them from a stream of logits.
class RouterOutputAccumulator {
 public:
  RouterOutputAccumulator(const RoutingShape& shape, std::size_t n_prompts, Selection selection);

  /// Calls for different prompts may come from different threads at the same time.
  /// @param logits [E]
  /// @throws Error (data) for an index or a layer out of range, another number of logits, or one
  ///         that is not finite.
  void add(std::size_t prompt, const RoutingRecord& record, std::span<const float> logits);

  /// Over the prompts that have a signature, in the order of its rows.
  RouterOutputs finish(const Signatures& signatures) const;

 private:
  RoutingShape shape_;
  Selection selection_;
  Matrix probabilities_;  // [n, L·E] sums over tokens
  Matrix squares_;        // [n, L]
  Matrix tokens_;         // [n, L]
};

}  // namespace moexray::stats
