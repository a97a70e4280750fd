#include <charconv>
#include <string>
#include <utility>
#include <variant>

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

std::string scaling_text(const RotaryScaling& scaling) {
  if (const auto* linear = std::get_if<LinearScaling>(&scaling)) {
    return " linear " + digits_of(linear->factor);
  }
  if (const auto* llama3 = std::get_if<Llama3Scaling>(&scaling)) {
    return " llama3 " + digits_of(llama3->factor) + " " + digits_of(llama3->low_freq_factor) + " " +
           digits_of(llama3->high_freq_factor) + " " + std::to_string(llama3->original_positions);
  }
  if (const auto* yarn = std::get_if<YarnScaling>(&scaling)) {
    return " yarn " + digits_of(yarn->factor) + " " + digits_of(yarn->beta_fast) + " " +
           digits_of(yarn->beta_slow) + " " + digits_of(yarn->amplitude) + " " +
           std::to_string(yarn->original_positions) + (yarn->truncate ? "" : " not truncated");
  }
  return {};
}

std::string attention_text(const AttentionSpec& attention) {
  std::string text =
      std::to_string(attention.n_heads) + " heads of " + std::to_string(attention.head_dim) + ", " +
      std::to_string(attention.n_kv_heads) + " kv, clip " + clip_text(attention.clip) +
      ", rotary " + std::to_string(attention.rotary.dim) + " " + digits_of(attention.rotary.theta) +
      scaling_text(attention.rotary.scaling) + ", qk_norm ";
  if (attention.qk_norm) {
    text += attention.qk_norm->per_head ? "head " : "whole ";
    text += digits_of(attention.qk_norm->norm.eps);
  } else {
    text += "none";
  }
  if (attention.scale) text += ", scale " + digits_of(*attention.scale);
  if (attention.window > 0) text += ", window " + std::to_string(attention.window);
  if (attention.qkv_bias) text += ", qkv bias";
  if (attention.output_bias) text += ", output bias";
  return text;
}

std::string mlp_text(const LayerSpec& layer) {
  const MoeSpec* moe = layer.moe();
  if (moe == nullptr) {
    return "dense " + std::to_string(std::get<FeedForwardSpec>(layer.mlp).width);
  }
  std::string text = std::to_string(moe->router.top_k) + " of " +
                     std::to_string(moe->router.n_experts) + " experts of " +
                     std::to_string(moe->expert.width) + ", normalised " +
                     (moe->router.normalise ? "true" : "false") + ", shared " +
                     (moe->shared ? std::to_string(moe->shared->width) : "none");
  if (moe->shared && moe->shared->gated) text += " gated";
  if (moe->router.softmax == SoftmaxOver::chosen) text += ", softmax over chosen";
  if (moe->router.float32_weights) text += ", float32 weights";
  return text;
}

std::string layer_lines(const ModelSpec& spec) {
  std::string text =
      line("final_norm_eps", spec.final_norm.eps) + line("hidden_size", spec.hidden_size);
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const LayerSpec& layer = spec.layers[i];
    const std::string place = layer.norm_place == NormPlace::after ? " after" : "";
    text += line("layer_" + std::to_string(i), "norm " + digits_of(layer.norm.eps) + place + "; " +
                                                   attention_text(layer.attention) + "; " +
                                                   mlp_text(layer));
  }
  for (const auto& [key, scale] : {std::pair("embedding_scale", spec.embedding_scale),
                                   std::pair("logit_divisor", spec.logit_divisor),
                                   std::pair("residual_scale", spec.residual_scale)}) {
    if (scale != 1) text += line(key, scale);
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
