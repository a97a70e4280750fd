// Mixtral (Jiang et al., arXiv 2401.04088), as `MixtralForCausalLM` of transformers computes it.

#include <string>

#include "config_parts.h"
#include "size_limits.h"
#include "weight_names.h"

namespace moexray {

ModelSpec read_mixtral(const ConfigReader& config) {
  require_silu(config);
  ModelSpec spec = read_frame(config, 1e-5);
  const int n_layers = read_n_layers(config);
  LayerSpec layer;
  layer.norm = spec.final_norm;
  layer.attention = read_attention(config, spec.hidden_size, 1e6);
  // This family has no `attention_bias`.
  layer.attention.qkv_bias = layer.attention.output_bias = false;
  layer.attention.window = read_window(config, 0);
  RouterSpec router = read_router(config, n_layers);
  router.normalise = true;
  router.float32_weights = true;
  layer.mlp = MoeSpec{router, {config.integer("intermediate_size", 1, max_width)}, {}};
  spec.layers.assign(static_cast<std::size_t>(n_layers), layer);
  return spec;
}

void mixtral_weights(const ModelSpec& spec, WeightList& list) {
  list.add(WeightRole::embedding, "model.embed_tokens.weight");
  for (int l = 0; l < static_cast<int>(spec.layers.size()); ++l) {
    const std::string layer = layer_prefix(l), mixture = layer + "block_sparse_moe.";
    add_attention(spec, l, list);
    list.add(WeightRole::router, mixture + "gate.weight", l, layer + "mlp.gate.weight");
    list.add_experts(l, {.prefix = mixture + "experts.",
                         .gate = "w1.weight",
                         .up = "w3.weight",
                         .down = "w2.weight",
                         .gate_up_tensor = layer + "mlp.experts.gate_up_proj",
                         .down_tensor = layer + "mlp.experts.down_proj"});
    list.add(WeightRole::attention_norm, layer + "input_layernorm.weight", l);
    list.add(WeightRole::mlp_norm, layer + "post_attention_layernorm.weight", l);
  }
  add_head(list);
}

}  // namespace moexray
