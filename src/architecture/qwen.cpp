// The mixtures of experts of Qwen: `Qwen2MoeForCausalLM` (Qwen1.5-MoE, Qwen2) and
// `Qwen3MoeForCausalLM` (arXiv 2505.09388), as transformers computes them.

#include <string>

#include "config_parts.h"
#include "moexray/core/escape.h"
#include "size_limits.h"
#include "weight_names.h"

namespace moexray {
namespace {

// Layers are told apart later: which are dense, and which attend to a window.
ModelSpec read_qwen(const ConfigReader& config) {
  require_silu(config);
  ModelSpec spec = read_frame(config, 1e-6);
  const int n_layers = read_n_layers(config);
  LayerSpec layer;
  layer.norm = spec.final_norm;
  layer.attention = read_attention(config, spec.hidden_size, 1e4);
  layer.mlp = MoeSpec{
      read_router(config, n_layers), {config.integer("moe_intermediate_size", 1, max_width)}, {}};
  spec.layers.assign(static_cast<std::size_t>(n_layers), layer);
  return spec;
}

void make_dense_layers(const ConfigReader& config, ModelSpec& spec) {
  const auto sparse = read_sparse_layers(config, static_cast<int>(spec.layers.size()));
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (sparse[i]) continue;
    spec.layers[i].mlp = FeedForwardSpec{config.integer("intermediate_size", 1, max_width)};
  }
}

// 0 where it is not used, whatever it is.
int read_qwen_window(const ConfigReader& config) {
  return config.boolean("use_sliding_window", false) ? read_window(config, 4096) : 0;
}

// The windows of Qwen2: `layer_types` says which layers have one, or else every second one below
// `max_window_layers`, from the first on.
void make_windows(const ConfigReader& config, ModelSpec& spec) {
  const int window = read_qwen_window(config);
  if (config.has("layer_types")) {
    const auto types = config.texts("layer_types", spec.layers.size());
    for (std::size_t i = 0; i < types.size(); ++i) {
      if (types[i] == "full_attention") continue;
      if (types[i] != "sliding_attention") {
        config.fail("layer_types", "layer " + std::to_string(i) + " is not implemented",
                    R"("full_attention" or "sliding_attention")",
                    printable('"' + types[i] + '"', 160));
      }
      if (window == 0) {
        config.fail("layer_types", "layer " + std::to_string(i) + " has a window",
                    "use_sliding_window true", config.found("use_sliding_window"));
      }
      spec.layers[i].attention.window = window;
    }
    return;
  }
  if (window == 0) return;
  const int n_window_layers = config.integer_or("max_window_layers", 28, 0, max_layers);
  for (std::size_t i = 0; i < spec.layers.size(); i += 2) {
    if (static_cast<int>(i) < n_window_layers) spec.layers[i].attention.window = window;
  }
}

}  // namespace

ModelSpec read_qwen2_moe(const ConfigReader& config) {
  ModelSpec spec = read_qwen(config);
  const int shared = config.integer("shared_expert_intermediate_size", 1, max_width);
  const bool has_bias = config.boolean("qkv_bias", true);
  for (LayerSpec& layer : spec.layers) {
    layer.attention.qkv_bias = has_bias;
    layer.attention.output_bias = false;  // this family has no `attention_bias`
    std::get<MoeSpec>(layer.mlp).shared = SharedExpertSpec{shared, true};
  }
  make_dense_layers(config, spec);
  make_windows(config, spec);
  return spec;
}

ModelSpec read_qwen3_moe(const ConfigReader& config) {
  ModelSpec spec = read_qwen(config);
  const int window = read_qwen_window(config);
  for (LayerSpec& layer : spec.layers) {
    layer.attention.qk_norm = QkNormSpec{spec.final_norm, true};
    layer.attention.window = window;
  }
  make_dense_layers(config, spec);
  return spec;
}

void qwen_weights(const ModelSpec& spec, WeightList& list) {
  list.add(WeightRole::embedding, "model.embed_tokens.weight");
  for (int l = 0; l < static_cast<int>(spec.layers.size()); ++l) {
    const std::string layer = layer_prefix(l);
    add_attention(spec, l, list);
    const MoeSpec* moe = spec.layers[static_cast<std::size_t>(l)].moe();
    if (moe == nullptr) {
      add_network(l, layer + "mlp.", false, list);
    } else {
      add_mixture(l, list);
      if (moe->shared) {
        add_network(l, layer + "mlp.shared_expert.", true, list);
        list.add(WeightRole::shared_router, layer + "mlp.shared_expert_gate.weight", l);
      }
    }
    list.add(WeightRole::attention_norm, layer + "input_layernorm.weight", l);
    list.add(WeightRole::mlp_norm, layer + "post_attention_layernorm.weight", l);
  }
  add_head(list);
}

}  // namespace moexray
