#include "moexray/checkpoint/checkpoint.h"

namespace moexray {
namespace {

void add_layer(const ModelConfig& config, ExpertLayout layout, int layer,
               std::vector<TensorSpec>& specs) {
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t width = config.intermediate_size;
  const std::int64_t kv = std::int64_t{config.num_key_value_heads} * config.head_dim();
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
    specs.push_back({prefix + name + ".weight", std::move(shape)});
  };
  add("self_attn.q_proj", {hidden, hidden});
  add("self_attn.k_proj", {kv, hidden});
  add("self_attn.v_proj", {kv, hidden});
  add("self_attn.o_proj", {hidden, hidden});
  add("self_attn.q_norm", {hidden});
  add("self_attn.k_norm", {kv});
  add("mlp.gate", {config.num_experts, hidden});
  if (layout == ExpertLayout::fused) {
    const std::int64_t n_experts = config.num_experts;
    specs.push_back({prefix + "mlp.experts.gate_up_proj", {n_experts, 2 * width, hidden}});
    specs.push_back({prefix + "mlp.experts.down_proj", {n_experts, hidden, width}});
  }
  for (int e = 0; layout == ExpertLayout::separate && e < config.num_experts; ++e) {
    const std::string expert = "mlp.experts." + std::to_string(e) + ".";
    add(expert + "gate_proj", {width, hidden});
    add(expert + "up_proj", {width, hidden});
    add(expert + "down_proj", {hidden, width});
  }
  add("input_layernorm", {hidden});
  add("post_attention_layernorm", {hidden});
}

}  // namespace

std::vector<TensorSpec> expected_tensors(const ModelConfig& config, ExpertLayout layout) {
  std::vector<TensorSpec> specs;
  specs.push_back({"model.embed_tokens.weight", {config.vocab_size, config.hidden_size}});
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    add_layer(config, layout, layer, specs);
  }
  specs.push_back({"model.norm.weight", {config.hidden_size}});
  if (!config.tie_word_embeddings) {
    specs.push_back({"lm_head.weight", {config.vocab_size, config.hidden_size}});
  }
  return specs;
}

ParameterCount count_parameters(const ModelConfig& config) {
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t kv = std::int64_t{config.num_key_value_heads} * config.head_dim();
  const std::int64_t embeddings = (config.tie_word_embeddings ? 1 : 2) * config.vocab_size * hidden;
  const std::int64_t attention = 2 * hidden * hidden + 2 * kv * hidden + hidden + kv;
  const std::int64_t router_and_norms = config.num_experts * hidden + 2 * hidden;
  const std::int64_t expert = 3 * hidden * config.intermediate_size;
  const std::int64_t layers = config.num_hidden_layers;
  const auto total = [&](std::int64_t n_experts) {
    return embeddings + hidden + layers * (attention + router_and_norms + n_experts * expert);
  };
  return {total(config.num_experts), total(config.num_experts_per_tok)};
}

std::string_view name_of(WeightType type) {
  switch (type) {
    case WeightType::bf16:
      return "BF16";
    case WeightType::f16:
      return "F16";
    case WeightType::f32:
      return "F32";
  }
  return {};
}

std::size_t size_of(WeightType type) { return type == WeightType::f32 ? 4 : 2; }

}  // namespace moexray
