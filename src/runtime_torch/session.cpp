#include "session.h"

#include <algorithm>

#include "moexray/core/error.h"

namespace moexray::torch_runtime {

TorchSession::TorchSession(const ModelSpec& spec, int max_positions,
                           std::span<const std::int64_t> capacities,
                           const at::TensorOptions& options) {
  std::int64_t longest = 0;
  for (const std::int64_t capacity : capacities) {
    if (capacity < 1 || capacity > max_positions) {
      throw Error(ErrorKind::data, {"sequence does not fit the model's context",
                                    {},
                                    "1 to " + std::to_string(max_positions) + " tokens",
                                    std::to_string(capacity)});
    }
    SequenceCache sequence{capacity, 0, {}};
    for (const LayerSpec& layer : spec.layers) {
      const auto shape = cache_shape(layer.attention, capacity);
      sequence.layers.push_back({at::empty(shape, options), at::empty(shape, options)});
    }
    sequences_.push_back(std::move(sequence));
    longest = std::max(longest, capacity);
  }
  std::vector<RotarySpec> specs;
  for (const LayerSpec& layer : spec.layers) {
    const RotarySpec& rotary = layer.attention.rotary;
    const auto known = std::find(specs.begin(), specs.end(), rotary);
    table_of_layer_.push_back(static_cast<std::size_t>(known - specs.begin()));
    if (known != specs.end()) continue;
    specs.push_back(rotary);
    const RotaryTable table = make_rotary_table(rotary, longest);
    tables_.push_back({table.cos.to(options.device()), table.sin.to(options.device())});
  }
}

}  // namespace moexray::torch_runtime
