// Any bytes as config.json: either an Error, or a config whose sizes can be used without further
// checks.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const moexray::ModelConfig config = moexray::parse_model_config(text, "config.json");
    const moexray::ParameterCount n = moexray::count_parameters(config);
    if (n.active <= 0 || n.active > n.total) std::abort();
    const moexray::RoutingShape shape = config.routing_shape();
    if (shape.n_layers < 1 || shape.top_k < 1 || shape.top_k > shape.n_experts) std::abort();
    if (moexray::n_cache_values(config.spec) < 1) std::abort();
    if (moexray::deciding_config(config).empty()) std::abort();
    for (const moexray::LayerSpec& layer : config.spec.layers) {
      const moexray::AttentionSpec& attention = layer.attention;
      if (attention.head_dim < 1 || attention.n_heads % attention.n_kv_heads != 0) std::abort();
      if (attention.rotary.dim % 2 != 0 || attention.rotary.dim > attention.head_dim) std::abort();
    }
    // What was read can be written, and reads the same.
    const std::string written = moexray::olmoe_config_json(config);
    if (!(moexray::parse_model_config(written, "config.json").spec == config.spec)) std::abort();
    for (const moexray::TokenId id : config.eos_token_ids) {
      if (id < 0 || id >= config.spec.vocab_size) std::abort();
    }
  } catch (const moexray::Error&) {
  }
  return 0;
}
