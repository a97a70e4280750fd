// OLMoE (Muennighoff et al., arXiv 2409.02060), as `OlmoeForCausalLM` of transformers computes it.

#include <string>

#include "moexray/architecture/config_reader.h"
#include "moexray/architecture/weights.h"
#include "size_limits.h"

namespace moexray {
namespace {

void refuse_settings(const ConfigReader& config) {
  const std::string activation = config.text("hidden_act");
  if (!activation.empty() && activation != "silu") {
    config.fail("hidden_act", "not implemented", "\"silu\"", config.found("hidden_act"));
  }
  if (config.boolean("attention_bias", false)) {
    config.fail("attention_bias", "not implemented", "false", "true");
  }
}

double read_eps(const ConfigReader& config) {
  const double eps = config.number("rms_norm_eps", 1e-5);
  if (!(eps >= 0 && eps <= 1)) {
    config.fail("rms_norm_eps", "wrong value", "a number from 0 to 1",
                config.found("rms_norm_eps"));
  }
  return eps;
}

void check_whole_rotation(const ConfigReader& config) {
  if (config.number("partial_rotary_factor", 1.0) == 1.0) return;
  config.fail("partial_rotary_factor", "not implemented", "1",
              config.found("partial_rotary_factor"));
}

// One of the objects that describe the rotary embedding: transformers 4 calls it rope_scaling,
// transformers 5 rope_parameters.
void check_rope_type(const ConfigReader& rope) {
  for (const char* key : {"rope_type", "type"}) {
    const std::string type = rope.text(key);
    if (!type.empty() && type != "default") {
      rope.fail(key, "rope scaling is not implemented", "\"default\"", rope.found(key));
    }
  }
  if (!rope.has("rope_type") && !rope.has("type") &&
      (rope.has("factor") || !rope.has("rope_theta"))) {
    rope.fail("rope_type", "rope scaling is not implemented", "\"default\"", {});
  }
  check_whole_rotation(rope);
}

void check_theta(const ConfigReader& config) {
  const double theta = config.number("rope_theta", 0);
  if (theta > 0 && theta <= 1e30) return;
  config.fail("rope_theta", "wrong value", "a number above 0, 1e30 at most",
              config.found("rope_theta"));
}

double read_theta(const ConfigReader& config) {
  check_whole_rotation(config);
  double theta = config.number("rope_theta", 10000.0);
  if (config.has("rope_scaling")) check_rope_type(config.section("rope_scaling"));
  if (config.has("rope_parameters")) {
    const ConfigReader rope = config.section("rope_parameters");
    check_rope_type(rope);
    const double inner = rope.number("rope_theta", theta);
    if (config.has("rope_theta") && inner != theta) {
      rope.fail("rope_theta", "disagrees with rope_theta outside rope_parameters",
                config.found("rope_theta"), rope.found("rope_theta"));
    }
    if (rope.has("rope_theta")) check_theta(rope);
    theta = inner;
  }
  if (config.has("rope_theta")) check_theta(config);
  return theta;
}

AttentionSpec read_attention(const ConfigReader& config, int hidden_size, double eps) {
  AttentionSpec attention;
  attention.n_heads = config.integer("num_attention_heads", 1, hidden_size);
  attention.n_kv_heads =
      config.integer_or("num_key_value_heads", attention.n_heads, 1, attention.n_heads);
  if (hidden_size % attention.n_heads != 0) {
    config.fail("num_attention_heads", "does not divide hidden_size",
                "a divisor of " + std::to_string(hidden_size), std::to_string(attention.n_heads));
  }
  attention.head_dim = hidden_size / attention.n_heads;
  if (attention.head_dim % 2 != 0) {
    config.fail("num_attention_heads", "the rotary embedding needs heads of even width",
                "hidden_size / num_attention_heads even", std::to_string(attention.head_dim));
  }
  if (attention.n_heads % attention.n_kv_heads != 0) {
    config.fail("num_key_value_heads", "does not divide num_attention_heads",
                "a divisor of " + std::to_string(attention.n_heads),
                std::to_string(attention.n_kv_heads));
  }
  const int head_dim = config.integer_or("head_dim", attention.head_dim, 1, max_width);
  if (head_dim != attention.head_dim) {
    config.fail("head_dim", "not implemented",
                "hidden_size / num_attention_heads = " + std::to_string(attention.head_dim),
                std::to_string(head_dim));
  }
  attention.qk_norm = QkNormSpec{{eps}, false};
  if (config.has("clip_qkv")) {
    attention.clip = config.number("clip_qkv", 0);
    if (!(*attention.clip > 0)) {
      config.fail("clip_qkv", "wrong value", "null or a number above 0", config.found("clip_qkv"));
    }
  }
  attention.rotary = {attention.head_dim, read_theta(config)};
  return attention;
}

MoeSpec read_moe(const ConfigReader& config, int n_layers) {
  MoeSpec moe;
  moe.expert.width = config.integer("intermediate_size", 1, max_width);
  moe.router.n_experts = config.integer("num_experts", 1, max_experts);
  moe.router.top_k = config.integer("num_experts_per_tok", 1, moe.router.n_experts);
  moe.router.normalise = config.boolean("norm_topk_prob", false);
  const std::int64_t n_experts = std::int64_t{n_layers} * moe.router.n_experts;
  if (n_experts > max_layer_experts) {
    config.fail("num_experts", "too many experts in all layers together",
                "at most " + std::to_string(max_layer_experts), std::to_string(n_experts));
  }
  return moe;
}

}  // namespace

ModelSpec read_olmoe(const ConfigReader& config) {
  refuse_settings(config);
  ModelSpec spec;
  spec.vocab_size = config.integer("vocab_size", 1, max_vocab_size);
  spec.hidden_size = config.integer("hidden_size", 1, max_width);
  spec.final_norm = {read_eps(config)};
  spec.tied_embeddings = config.boolean("tie_word_embeddings", false);
  const int n_layers = config.integer("num_hidden_layers", 1, max_layers);
  const LayerSpec layer{spec.final_norm,
                        read_attention(config, spec.hidden_size, spec.final_norm.eps),
                        read_moe(config, n_layers)};
  spec.layers.assign(static_cast<std::size_t>(n_layers), layer);
  return spec;
}

void olmoe_weights(const ModelSpec& spec, WeightList& list) {
  list.add(WeightRole::embedding, "model.embed_tokens.weight");
  for (int l = 0; l < static_cast<int>(spec.layers.size()); ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    list.add(WeightRole::query, layer + "self_attn.q_proj.weight", l);
    list.add(WeightRole::key, layer + "self_attn.k_proj.weight", l);
    list.add(WeightRole::value, layer + "self_attn.v_proj.weight", l);
    list.add(WeightRole::output, layer + "self_attn.o_proj.weight", l);
    list.add(WeightRole::query_norm, layer + "self_attn.q_norm.weight", l);
    list.add(WeightRole::key_norm, layer + "self_attn.k_norm.weight", l);
    list.add(WeightRole::router, layer + "mlp.gate.weight", l);
    list.add_experts(l, layer + "mlp.experts.",
                     {.gate = "gate_proj.weight",
                      .up = "up_proj.weight",
                      .down = "down_proj.weight",
                      .fused_gate_up = "gate_up_proj",
                      .fused_down = "down_proj"});
    list.add(WeightRole::attention_norm, layer + "input_layernorm.weight", l);
    list.add(WeightRole::mlp_norm, layer + "post_attention_layernorm.weight", l);
  }
  list.add(WeightRole::final_norm, "model.norm.weight");
  list.add(WeightRole::head, "lm_head.weight");
}

}  // namespace moexray
