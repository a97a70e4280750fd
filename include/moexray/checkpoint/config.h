#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/routing.h"

namespace moexray {

/// The `config.json` of an `OlmoeForCausalLM` checkpoint, under the names Hugging Face gives the
/// keys.
struct ModelConfig {
  std::string architecture = "OlmoeForCausalLM";
  std::string name;  ///< of the checkpoint, as checkpoint_name() gives it
  int vocab_size = 0;
  int hidden_size = 0;
  int intermediate_size = 0;  ///< width of one expert
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int num_experts = 0;
  int num_experts_per_tok = 0;
  int max_position_embeddings = 0;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000.0;
  std::optional<double> clip_qkv;
  bool norm_topk_prob = false;
  bool tie_word_embeddings = false;
  std::string dtype = "float32";  ///< of the stored weights, as `torch_dtype` or `dtype` says
  /// Each once, those of the vocabulary; generation_config.json has precedence over config.json.
  std::vector<TokenId> eos_token_ids;
  std::optional<TokenId> bos_token_id;
  std::optional<TokenId> pad_token_id;
  std::string sha256;                ///< of the bytes of config.json, lower-case hex
  std::vector<std::string> notices;  ///< what was passed over, a line each

  int head_dim() const { return hidden_size / num_attention_heads; }
  RoutingShape routing_shape() const {
    return {num_hidden_layers, num_experts, num_experts_per_tok};
  }
};

/// Parses and checks the text of a `config.json`; `name` stays empty.
/// @param where the file's name, for messages.
/// @throws Error (data) as read_model_config() does.
ModelConfig parse_model_config(std::string_view text, std::string_view where);

/// Reads and checks `DIR/config.json` (transformers 4: `rope_theta`, `torch_dtype`; transformers 5:
/// `rope_parameters`, `dtype`) and `DIR/generation_config.json` where it exists.
/// @throws Error (data) naming the file, the key, what was expected and what was found; also for
///   settings that would change the computation and are not implemented (rope scaling, another
///   `hidden_act`, attention bias, another architecture), and sizes beyond sane bounds.
ModelConfig read_model_config(const std::filesystem::path& directory);

/// The text of a `config.json` for this config as transformers 4 writes it; read_model_config()
/// gives the config back, apart from `name` and `sha256`.
std::string model_config_json(const ModelConfig& config);

/// The settings that decide what a model computes, a line "KEY VALUE" each in the order of the
/// keys: the same for every text of a config.json that means the same. What is not in it decides
/// nothing
/// (`torch_dtype`, `transformers_version`, `max_position_embeddings`) or is a setting of generation
/// (the end tokens).
std::string deciding_config(const ModelConfig& config);

/// The SHA-256 of deciding_config(), lower-case hex.
std::string deciding_config_sha256(const ModelConfig& config);

}  // namespace moexray
