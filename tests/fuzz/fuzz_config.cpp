// Any bytes as config.json: either an Error, or a config whose sizes can be used without further
// checks. Of every architecture and of the tests' own.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/architecture/rotary.h"
#include "moexray/checkpoint/config.h"
#include "moexray/core/error.h"
#include "support/double_architecture.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_rotary(const moexray::RotarySpec& rotary) {
  for (const float frequency : moexray::rotary_frequencies(rotary)) require(!std::isnan(frequency));
  const float amplitude = moexray::rotary_amplitude(rotary);
  require(std::isfinite(amplitude) && amplitude > 0);
}

// The two layouts hold the same weights, each in its part of a tensor.
void check_layouts(const moexray::ModelConfig& config) {
  const auto separate = moexray::weight_slots(config),
             fused = moexray::weight_slots(config, moexray::ExpertLayout::fused);
  require(separate.size() == fused.size());
  for (std::size_t i = 0; i < fused.size(); ++i) {
    require(separate[i].name == fused[i].name && separate[i].shape == fused[i].shape);
    require(fused[i].first + moexray::n_values(fused[i].shape) <=
            moexray::n_values(fused[i].stored));
  }
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
    require(attention.window >= 0);
    const double scale = attention.scale.value_or(1);
    require(std::isfinite(scale) && scale > 0);
    check_rotary(attention.rotary);
  }
  for (const double scale : {spec.embedding_scale, spec.residual_scale, spec.logit_divisor}) {
    require(std::isfinite(scale) && scale > 0);
  }
  const moexray::ParameterCount n = moexray::count_parameters(config);
  require(n.active > 0 && n.active <= n.total);
  for (const moexray::TokenId id : config.eos_token_ids) require(id >= 0 && id < spec.vocab_size);
  if (shape.n_layers * shape.n_experts <= 4096) check_layouts(config);
  // What was read can be written, and reads the same.
  if (config.architecture->model_type == "olmoe" && moexray::has_olmoe_form(spec)) {
    const std::string written = moexray::olmoe_config_json(config);
    require(moexray::parse_model_config(written, "config.json").spec == spec);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<moexray::Architecture> table = [] {
    std::vector<moexray::Architecture> rows(moexray::architectures().begin(),
                                            moexray::architectures().end());
    rows.push_back(moexray::test::double_table().front());
    return rows;
  }();
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check(moexray::parse_model_config(text, "config.json", table));
  } catch (const moexray::Error&) {
  }
  return 0;
}
