#include <nlohmann/json.hpp>
#include <string>

#include "moexray/checkpoint/config.h"
#include "moexray/core/error.h"

namespace moexray {
namespace {

using Json = nlohmann::ordered_json;

template <typename Value>
Json value_or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

Json eos_json(const std::vector<TokenId>& ids) {
  if (ids.empty()) return {};
  return ids.size() == 1 ? Json(ids[0]) : Json(ids);
}

}  // namespace

bool has_olmoe_form(const ModelSpec& spec) {
  const LayerSpec& first = spec.layers.front();
  if (first.moe() == nullptr) return false;
  // What these keys say, and of everything else what they leave.
  LayerSpec layer;
  layer.norm = first.norm;
  layer.attention.n_heads = first.attention.n_heads;
  layer.attention.n_kv_heads = first.attention.n_kv_heads;
  layer.attention.head_dim = spec.hidden_size / first.attention.n_heads;
  layer.attention.qk_norm = QkNormSpec{first.norm, false};
  layer.attention.clip = first.attention.clip;
  layer.attention.rotary = {layer.attention.head_dim, first.attention.rotary.theta, {}};
  const RouterSpec& router = first.moe()->router;
  layer.mlp = MoeSpec{{router.n_experts, router.top_k, router.normalise}, first.moe()->expert, {}};
  ModelSpec whole;
  whole.vocab_size = spec.vocab_size;
  whole.hidden_size = spec.hidden_size;
  whole.layers.assign(spec.layers.size(), layer);
  whole.final_norm = first.norm;
  whole.tied_embeddings = spec.tied_embeddings;
  return whole == spec;
}

std::string olmoe_config_json(const ModelConfig& config) {
  const ModelSpec& spec = config.spec;
  if (config.architecture == nullptr || config.architecture->model_type != "olmoe" ||
      spec.layers.empty() || !has_olmoe_form(spec)) {
    throw Error(
        ErrorKind::data,
        {"not a plain OLMoE model", "config.json: key \"architectures\"",
         "[\"OlmoeForCausalLM\"] without rope scaling, biases and heads of another width",
         config.architecture == nullptr ? std::string() : std::string(config.architecture->name)});
  }
  const LayerSpec* layer = &spec.layers.front();
  const MoeSpec* moe = layer->moe();
  const AttentionSpec& attention = layer->attention;
  const Json json = {{"architectures", {config.architecture->name}},
                     {"attention_bias", false},
                     {"attention_dropout", 0.0},
                     {"bos_token_id", value_or_null(config.bos_token_id)},
                     {"clip_qkv", value_or_null(attention.clip)},
                     {"eos_token_id", eos_json(config.eos_token_ids)},
                     {"hidden_act", "silu"},
                     {"hidden_size", spec.hidden_size},
                     {"initializer_range", 0.02},
                     {"intermediate_size", moe->expert.width},
                     {"max_position_embeddings", config.max_position_embeddings},
                     {"model_type", config.architecture->model_type},
                     {"norm_topk_prob", moe->router.normalise},
                     {"num_attention_heads", attention.n_heads},
                     {"num_experts", moe->router.n_experts},
                     {"num_experts_per_tok", moe->router.top_k},
                     {"num_hidden_layers", spec.layers.size()},
                     {"num_key_value_heads", attention.n_kv_heads},
                     {"output_router_logits", false},
                     {"pad_token_id", value_or_null(config.pad_token_id)},
                     {"rms_norm_eps", spec.final_norm.eps},
                     {"rope_scaling", nullptr},
                     {"rope_theta", attention.rotary.theta},
                     {"router_aux_loss_coef", 0.01},
                     {"tie_word_embeddings", spec.tied_embeddings},
                     {"torch_dtype", config.dtype},
                     {"use_cache", true},
                     {"vocab_size", spec.vocab_size}};
  return json.dump(2) + "\n";
}

}  // namespace moexray
