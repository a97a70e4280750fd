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

std::string line(std::string_view key, const std::string& value) {
  return std::string(key) + " " + value + "\n";
}
std::string line(std::string_view key, int value) { return line(key, std::to_string(value)); }
std::string line(std::string_view key, bool value) {
  return line(key, std::string(value ? "true" : "false"));
}
std::string line(std::string_view key, double value) { return line(key, digits_of(value)); }

std::string clip_text(const std::optional<double>& clip) {
  return clip ? digits_of(*clip) : "null";
}

// True if the keys of an OLMoE config say all that the spec does.
bool has_olmoe_form(const ModelSpec& spec) {
  const LayerSpec& first = spec.layers.front();
  const MoeSpec* moe = first.moe();
  if (moe == nullptr || moe->shared) return false;
  for (const LayerSpec& layer : spec.layers) {
    if (!(layer == first)) return false;
  }
  const AttentionSpec& attention = first.attention;
  return attention.qk_norm == QkNormSpec{first.norm, false} && spec.final_norm == first.norm &&
         attention.head_dim * attention.n_heads == spec.hidden_size &&
         attention.rotary.dim == attention.head_dim;
}

// In the order of the keys.
std::string olmoe_lines(const ModelSpec& spec) {
  const LayerSpec& layer = spec.layers.front();
  const AttentionSpec& attention = layer.attention;
  const MoeSpec& moe = *layer.moe();
  return line("clip_qkv", clip_text(attention.clip)) + line("hidden_size", spec.hidden_size) +
         line("intermediate_size", moe.expert.width) +
         line("norm_topk_prob", moe.router.normalise) +
         line("num_attention_heads", attention.n_heads) +
         line("num_experts", moe.router.n_experts) + line("num_experts_per_tok", moe.router.top_k) +
         line("num_hidden_layers", static_cast<int>(spec.layers.size())) +
         line("num_key_value_heads", attention.n_kv_heads) + line("rms_norm_eps", layer.norm.eps) +
         line("rope_theta", attention.rotary.theta) +
         line("tie_word_embeddings", spec.tied_embeddings) + line("vocab_size", spec.vocab_size);
}

std::string attention_text(const AttentionSpec& attention) {
  std::string text =
      std::to_string(attention.n_heads) + " heads of " + std::to_string(attention.head_dim) + ", " +
      std::to_string(attention.n_kv_heads) + " kv, clip " + clip_text(attention.clip) +
      ", rotary " + std::to_string(attention.rotary.dim) + " " + digits_of(attention.rotary.theta) +
      ", qk_norm ";
  if (!attention.qk_norm) return text + "none";
  text += attention.qk_norm->per_head ? "head " : "whole ";
  return text + digits_of(attention.qk_norm->norm.eps);
}

std::string mlp_text(const LayerSpec& layer) {
  const MoeSpec* moe = layer.moe();
  if (moe == nullptr) {
    return "dense " + std::to_string(std::get<FeedForwardSpec>(layer.mlp).width);
  }
  return std::to_string(moe->router.top_k) + " of " + std::to_string(moe->router.n_experts) +
         " experts of " + std::to_string(moe->expert.width) + ", normalised " +
         (moe->router.normalise ? "true" : "false") + ", shared " +
         (moe->shared ? std::to_string(moe->shared->width) : "none");
}

std::string layer_lines(const ModelSpec& spec) {
  std::string text =
      line("final_norm_eps", spec.final_norm.eps) + line("hidden_size", spec.hidden_size);
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const LayerSpec& layer = spec.layers[i];
    text += line("layer_" + std::to_string(i), "norm " + digits_of(layer.norm.eps) + "; " +
                                                   attention_text(layer.attention) + "; " +
                                                   mlp_text(layer));
  }
  return text + line("tie_word_embeddings", spec.tied_embeddings) +
         line("vocab_size", spec.vocab_size);
}

}  // namespace

// Traces of OLMoE models record the hash of the keys of its config; a spec that these keys do not
// describe has a line a layer.
std::string deciding_config(const ModelConfig& config) {
  return line("architecture", std::string(config.architecture->name)) +
         (has_olmoe_form(config.spec) ? olmoe_lines(config.spec) : layer_lines(config.spec));
}

std::string deciding_config_sha256(const ModelConfig& config) {
  return sha256_hex(deciding_config(config));
}

}  // namespace moexray
