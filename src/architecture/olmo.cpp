// OLMoE (Muennighoff et al., arXiv 2409.02060) and FlexOlmo (arXiv 2507.07024), as
// `OlmoeForCausalLM` and `FlexOlmoForCausalLM` of transformers compute them.

#include "config_parts.h"
#include "size_limits.h"
#include "weight_names.h"

namespace moexray {
namespace {

// What both have: all heads of queries and keys are normed as one row, and every layer has experts.
ModelSpec read_olmo(const ConfigReader& config, double default_eps, double default_theta) {
  require_silu(config);
  ModelSpec spec = read_frame(config, default_eps);
  const int n_layers = read_n_layers(config);
  LayerSpec layer;
  layer.norm = spec.final_norm;
  layer.attention = read_attention(config, spec.hidden_size, default_theta);
  layer.attention.qk_norm = QkNormSpec{spec.final_norm, false};
  const int width = config.integer("intermediate_size", 1, max_width);
  layer.mlp = MoeSpec{read_router(config, n_layers), {width}, {}};
  spec.layers.assign(static_cast<std::size_t>(n_layers), layer);
  return spec;
}

void olmo_weights(const ModelSpec& spec, WeightList& list, const char* attention_norm,
                  const char* mlp_norm) {
  list.add(WeightRole::embedding, "model.embed_tokens.weight");
  for (int l = 0; l < static_cast<int>(spec.layers.size()); ++l) {
    add_attention(spec, l, list);
    add_mixture(l, list);
    list.add(WeightRole::attention_norm, layer_prefix(l) + attention_norm, l);
    list.add(WeightRole::mlp_norm, layer_prefix(l) + mlp_norm, l);
  }
  add_head(list);
}

}  // namespace

ModelSpec read_olmoe(const ConfigReader& config) {
  ModelSpec spec = read_olmo(config, 1e-5, 1e4);
  if (!config.has("clip_qkv")) return spec;
  const double clip = config.number("clip_qkv", 0);
  if (!(clip > 0)) {
    config.fail("clip_qkv", "wrong value", "null or a number above 0", config.found("clip_qkv"));
  }
  for (LayerSpec& layer : spec.layers) layer.attention.clip = clip;
  return spec;
}

void olmoe_weights(const ModelSpec& spec, WeightList& list) {
  olmo_weights(spec, list, "input_layernorm.weight", "post_attention_layernorm.weight");
}

ModelSpec read_flex_olmo(const ConfigReader& config) {
  ModelSpec spec = read_olmo(config, 1e-6, 5e5);
  for (LayerSpec& layer : spec.layers) layer.norm_place = NormPlace::after;
  return spec;
}

void flex_olmo_weights(const ModelSpec& spec, WeightList& list) {
  olmo_weights(spec, list, "post_attention_layernorm.weight", "post_feedforward_layernorm.weight");
}

}  // namespace moexray
