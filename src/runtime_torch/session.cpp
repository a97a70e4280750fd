#include "session.h"

#include <algorithm>

#include "moexray/core/error.h"

namespace moexray::torch_runtime {

TorchSession::TorchSession(const ModelConfig& config, std::span<const std::int64_t> capacities,
                           at::TensorOptions options) {
  std::int64_t longest = 0;
  for (const std::int64_t capacity : capacities) {
    if (capacity < 1 || capacity > config.max_position_embeddings) {
      throw Error(ErrorKind::data,
                  {"sequence does not fit the model's context",
                   {},
                   "1 to " + std::to_string(config.max_position_embeddings) + " tokens",
                   std::to_string(capacity)});
    }
    SequenceCache sequence{capacity, 0, {}};
    for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
      const std::vector<std::int64_t> shape = {config.num_key_value_heads, capacity,
                                               config.head_dim()};
      sequence.layers.push_back({at::empty(shape, options), at::empty(shape, options)});
    }
    sequences_.push_back(std::move(sequence));
    longest = std::max(longest, capacity);
  }
  table_ = make_rotary_table(config, longest);
  table_.cos = table_.cos.to(options.device());
  table_.sin = table_.sin.to(options.device());
}

}  // namespace moexray::torch_runtime
