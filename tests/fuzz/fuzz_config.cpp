// Any bytes as config.json: either an Error, or a config whose sizes can be used without further
// checks. Of OLMoE and of the tests' own architecture, which has what OLMoE lacks.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "moexray/checkpoint/config.h"
#include "moexray/core/error.h"
#include "support/double_architecture.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const moexray::ModelConfig& config) {
  const moexray::ModelSpec& spec = config.spec;
  const moexray::RoutingShape shape = config.routing_shape();
  require(shape.n_layers >= 1 && shape.top_k >= 1 && shape.top_k <= shape.n_experts);
  require(spec.moe_layers().size() == static_cast<std::size_t>(shape.n_layers));
  require(moexray::n_cache_values(spec) >= 1);
  require(!moexray::deciding_config(config).empty());
  for (const moexray::LayerSpec& layer : spec.layers) {
    const moexray::AttentionSpec& attention = layer.attention;
    require(attention.head_dim >= 1 && attention.n_heads % attention.n_kv_heads == 0);
    require(attention.rotary.dim % 2 == 0 && attention.rotary.dim <= attention.head_dim);
  }
  const moexray::ParameterCount n = moexray::count_parameters(config);
  require(n.active > 0 && n.active <= n.total);
  for (const moexray::TokenId id : config.eos_token_ids) require(id >= 0 && id < spec.vocab_size);
  // What was read can be written, and reads the same.
  if (config.architecture->model_type == "olmoe") {
    const std::string written = moexray::olmoe_config_json(config);
    require(moexray::parse_model_config(written, "config.json").spec == spec);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array<moexray::Architecture, 2> table = {moexray::architectures().front(),
                                                             moexray::test::double_table().front()};
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check(moexray::parse_model_config(text, "config.json", table));
  } catch (const moexray::Error&) {
  }
  return 0;
}
