#include <charconv>
#include <string>

#include "moexray/checkpoint/config.h"
#include "moexray/core/sha256.h"

namespace moexray {
namespace {

// The shortest digits that give the number back.
std::string digits_of(double value) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, result.ptr};
}

}  // namespace

std::string deciding_config(const ModelConfig& config) {
  std::string text;
  const auto add = [&](std::string_view key, const std::string& value) {
    text += std::string(key) + " " + value + "\n";
  };
  const auto add_flag = [&](std::string_view key, bool value) {
    add(key, value ? "true" : "false");
  };
  add("architecture", config.architecture);
  add("clip_qkv", config.clip_qkv ? digits_of(*config.clip_qkv) : "null");
  add("hidden_size", std::to_string(config.hidden_size));
  add("intermediate_size", std::to_string(config.intermediate_size));
  add_flag("norm_topk_prob", config.norm_topk_prob);
  add("num_attention_heads", std::to_string(config.num_attention_heads));
  add("num_experts", std::to_string(config.num_experts));
  add("num_experts_per_tok", std::to_string(config.num_experts_per_tok));
  add("num_hidden_layers", std::to_string(config.num_hidden_layers));
  add("num_key_value_heads", std::to_string(config.num_key_value_heads));
  add("rms_norm_eps", digits_of(config.rms_norm_eps));
  add("rope_theta", digits_of(config.rope_theta));
  add_flag("tie_word_embeddings", config.tie_word_embeddings);
  add("vocab_size", std::to_string(config.vocab_size));
  return text;
}

std::string deciding_config_sha256(const ModelConfig& config) {
  return sha256_hex(deciding_config(config));
}

}  // namespace moexray
