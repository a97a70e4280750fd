#pragma once

#include <vector>

#include "moexray/runtime/model.h"
#include "ops.h"

namespace moexray::torch_runtime {

/// Keys and values of one sequence at one layer, keys already rotated: [kv_heads, capacity, d]
/// each.
struct LayerCache {
  at::Tensor keys;
  at::Tensor values;
};

struct SequenceCache {
  std::int64_t capacity = 0;
  std::int64_t length = 0;  ///< tokens whose forward pass is complete
  std::vector<LayerCache> layers;
};

/// The key-value cache of a batch of sequences, in the type of the computation.
class TorchSession : public Session {
 public:
  /// @param max_positions a sequence's most
  TorchSession(const ModelSpec& spec, int max_positions, std::span<const std::int64_t> capacities,
               const at::TensorOptions& options);

  std::int64_t length(int slot) const override { return sequence(slot).length; }
  /// Of a layer, for as many positions as the longest sequence can have.
  const RotaryTable& rotary_table(int layer) const {
    return tables_[table_of_layer_[static_cast<std::size_t>(layer)]];
  }
  int n_slots() const { return static_cast<int>(sequences_.size()); }
  SequenceCache& sequence(int slot) { return sequences_.at(static_cast<std::size_t>(slot)); }
  const SequenceCache& sequence(int slot) const {
    return sequences_.at(static_cast<std::size_t>(slot));
  }

 private:
  std::vector<RotaryTable> tables_;  // layers of equal specs share one
  std::vector<std::size_t> table_of_layer_;
  std::vector<SequenceCache> sequences_;
};

}  // namespace moexray::torch_runtime
