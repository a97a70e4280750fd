#include "weight_names.h"

namespace moexray {

std::string layer_prefix(int layer) { return "model.layers." + std::to_string(layer) + "."; }

void add_attention(const ModelSpec& spec, int layer, WeightList& list) {
  const AttentionSpec& attention = spec.layers[static_cast<std::size_t>(layer)].attention;
  const std::string prefix = layer_prefix(layer) + "self_attn.";
  const auto add = [&](WeightRole weight, WeightRole bias, const std::string& name, bool biased) {
    list.add(weight, prefix + name + ".weight", layer);
    if (biased) list.add(bias, prefix + name + ".bias", layer);
  };
  add(WeightRole::query, WeightRole::query_bias, "q_proj", attention.qkv_bias);
  add(WeightRole::key, WeightRole::key_bias, "k_proj", attention.qkv_bias);
  add(WeightRole::value, WeightRole::value_bias, "v_proj", attention.qkv_bias);
  add(WeightRole::output, WeightRole::output_bias, "o_proj", attention.output_bias);
  if (!attention.qk_norm) return;
  list.add(WeightRole::query_norm, prefix + "q_norm.weight", layer);
  list.add(WeightRole::key_norm, prefix + "k_norm.weight", layer);
}

void add_network(int layer, const std::string& prefix, bool is_shared, WeightList& list) {
  list.add(is_shared ? WeightRole::shared_gate : WeightRole::gate, prefix + "gate_proj.weight",
           layer);
  list.add(is_shared ? WeightRole::shared_up : WeightRole::up, prefix + "up_proj.weight", layer);
  list.add(is_shared ? WeightRole::shared_down : WeightRole::down, prefix + "down_proj.weight",
           layer);
}

void add_mixture(int layer, WeightList& list) {
  const std::string mlp = layer_prefix(layer) + "mlp.", experts = mlp + "experts.";
  list.add(WeightRole::router, mlp + "gate.weight", layer);
  list.add_experts(layer, {.prefix = experts,
                           .gate = "gate_proj.weight",
                           .up = "up_proj.weight",
                           .down = "down_proj.weight",
                           .gate_up_tensor = experts + "gate_up_proj",
                           .down_tensor = experts + "down_proj"});
}

void add_head(WeightList& list) {
  list.add(WeightRole::final_norm, "model.norm.weight");
  list.add(WeightRole::head, "lm_head.weight");
}

}  // namespace moexray
