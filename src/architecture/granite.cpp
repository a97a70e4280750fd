// Granite 3 (IBM) and PowerMoE: `GraniteMoeForCausalLM`, and with a shared expert
// `GraniteMoeSharedForCausalLM`, as transformers computes them.

#include <string>

#include "config_parts.h"
#include "size_limits.h"
#include "weight_names.h"

namespace moexray {

ModelSpec read_granitemoe(const ConfigReader& config) {
  require_silu(config);
  ModelSpec spec = read_frame(config, 1e-6);
  spec.embedding_scale = read_scale(config, "embedding_multiplier");
  spec.residual_scale = read_scale(config, "residual_multiplier");
  spec.logit_divisor = read_scale(config, "logits_scaling");
  const int n_layers = read_n_layers(config);
  LayerSpec layer;
  layer.norm = spec.final_norm;
  layer.attention = read_attention(config, spec.hidden_size, 1e4);
  layer.attention.scale = read_scale(config, "attention_multiplier");
  RouterSpec router = read_router(config, n_layers);
  router.normalise = false;
  router.softmax = SoftmaxOver::chosen;
  layer.mlp = MoeSpec{router, {config.integer("intermediate_size", 1, max_width)}, {}};
  spec.layers.assign(static_cast<std::size_t>(n_layers), layer);
  return spec;
}

ModelSpec read_granitemoeshared(const ConfigReader& config) {
  ModelSpec spec = read_granitemoe(config);
  const int width = config.integer_or("shared_intermediate_size", 0, 0, max_width);
  if (width == 0) return spec;
  for (LayerSpec& layer : spec.layers) {
    std::get<MoeSpec>(layer.mlp).shared = SharedExpertSpec{width, false};
  }
  return spec;
}

void granitemoe_weights(const ModelSpec& spec, WeightList& list) {
  list.add(WeightRole::embedding, "model.embed_tokens.weight");
  for (int l = 0; l < static_cast<int>(spec.layers.size()); ++l) {
    const std::string layer = layer_prefix(l), mixture = layer + "block_sparse_moe.",
                      shared = layer + "shared_mlp.";
    const bool is_fused = list.layout() == ExpertLayout::fused;
    add_attention(spec, l, list);
    list.add(WeightRole::router, mixture + "router.layer.weight", l, mixture + "router.weight");
    list.add_fused_experts(
        l, {.prefix = mixture + "experts.",
            .gate = "gate_proj.weight",
            .up = "up_proj.weight",
            .down = "down_proj.weight",
            .gate_up_tensor = mixture + (is_fused ? "experts.gate_up_proj" : "input_linear.weight"),
            .down_tensor = mixture + (is_fused ? "experts.down_proj" : "output_linear.weight")});
    if (spec.layers[static_cast<std::size_t>(l)].moe()->shared) {
      list.add_fused_shared(l, {.prefix = shared,
                                .gate = "gate_proj.weight",
                                .up = "up_proj.weight",
                                .down = {},
                                .gate_up_tensor = shared + "input_linear.weight",
                                .down_tensor = shared + "output_linear.weight"});
    }
    list.add(WeightRole::attention_norm, layer + "input_layernorm.weight", l);
    list.add(WeightRole::mlp_norm, layer + "post_attention_layernorm.weight", l);
  }
  add_head(list);
}

}  // namespace moexray
