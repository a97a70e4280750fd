#include "model_descriptor.h"

#include <fmt/core.h>

#include <functional>
#include <optional>
#include <variant>

#include "moexray/core/wording.h"

namespace moexray::app {
namespace {

using report::Json;

std::string layer_range(std::size_t first, std::size_t last) {
  return first == last ? fmt::format("layer {}", first) : fmt::format("layers {}-{}", first, last);
}

// The text of every layer, said once where it is the same in all. Layers without one are left out.
std::string for_all_layers(
    const ModelSpec& spec,
    const std::function<std::optional<std::string>(const LayerSpec&)>& describe) {
  struct Run {
    std::size_t first, last;
    std::string text;
  };
  std::vector<Run> runs;
  bool all_alike = true;
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const auto text = describe(spec.layers[i]);
    if (!text) continue;
    all_alike = all_alike && (runs.empty() || runs.front().text == *text);
    if (runs.empty() || runs.back().text != *text || runs.back().last + 1 != i) {
      runs.push_back({i, i, *text});
    }
    runs.back().last = i;
  }
  if (runs.empty()) return "none";
  if (all_alike) return runs.front().text;
  std::string all;
  for (const Run& run : runs) {
    all += fmt::format("{}{}: {}", all.empty() ? "" : "; ", layer_range(run.first, run.last),
                       run.text);
  }
  return all;
}

std::string attention_text(const AttentionSpec& attention) {
  std::string text =
      fmt::format("{} of {}, {}", counted(attention.n_heads, "head"), attention.head_dim,
                  counted(attention.n_kv_heads, "key-value head"));
  if (attention.clip) text += fmt::format(", clipped to {}", *attention.clip);
  if (attention.scale) text += fmt::format(", scaled by {}", *attention.scale);
  if (attention.qkv_bias && attention.output_bias) {
    text += ", biases";
  } else if (attention.qkv_bias || attention.output_bias) {
    text += attention.qkv_bias ? ", biases of q, k and v" : ", biases of the output";
  }
  return text;
}

std::string window_text(const AttentionSpec& attention) {
  return attention.window == 0 ? "none" : counted(attention.window, "token");
}

std::string qk_norm_text(const AttentionSpec& attention) {
  if (!attention.qk_norm) return "none";
  return fmt::format("RMS of {}, eps {}",
                     attention.qk_norm->per_head ? "each head" : "all heads together",
                     attention.qk_norm->norm.eps);
}

std::string scaling_text(const RotaryScaling& scaling) {
  if (const auto* linear = std::get_if<LinearScaling>(&scaling)) {
    return fmt::format(", linear scaling by {}", linear->factor);
  }
  if (const auto* llama3 = std::get_if<Llama3Scaling>(&scaling)) {
    return fmt::format(", llama3 scaling by {} from {} tokens", llama3->factor,
                       grouped_digits(llama3->original_positions));
  }
  if (const auto* yarn = std::get_if<YarnScaling>(&scaling)) {
    return fmt::format(", yarn scaling by {} from {} tokens, amplitude {:.4g}", yarn->factor,
                       grouped_digits(yarn->original_positions), yarn->amplitude);
  }
  return {};
}

std::string rotary_text(const AttentionSpec& attention) {
  if (attention.rotary.dim == 0) return "none";
  const std::string part =
      attention.rotary.dim == attention.head_dim
          ? "whole heads"
          : fmt::format("{} of {} values a head", attention.rotary.dim, attention.head_dim);
  return fmt::format("{}, half-split, theta {}{}", part, attention.rotary.theta,
                     scaling_text(attention.rotary.scaling));
}

std::string router_text(const RouterSpec& router) {
  if (router.softmax == SoftmaxOver::chosen) {
    return fmt::format("the top {} logits, then softmax over these", router.top_k);
  }
  return fmt::format("softmax over all experts, then the top {}{}", router.top_k,
                     router.normalise ? ", scaled to sum 1" : "");
}

// "layers 0-2, layer 5": those that are dense.
std::string dense_places(const ModelSpec& spec) {
  std::string places;
  std::size_t first = 0;  // of the dense layers before layer i
  for (std::size_t i = 0; i <= spec.layers.size(); ++i) {
    if (i < spec.layers.size() && spec.layers[i].moe() == nullptr) continue;
    if (i > first) places += (places.empty() ? "" : ", ") + layer_range(first, i - 1);
    first = i + 1;
  }
  return places;
}

// "3 of 16 (layers 0-2), width 4096".
std::string dense_text(const ModelSpec& spec) {
  const std::size_t n_dense = spec.layers.size() - spec.moe_layers().size();
  if (n_dense == 0) return "none";
  return fmt::format("{} of {} ({}), {}", n_dense, spec.layers.size(), dense_places(spec),
                     for_all_layers(spec, [](const LayerSpec& layer) -> std::optional<std::string> {
                       if (layer.moe() != nullptr) return std::nullopt;
                       return fmt::format("width {}", std::get<FeedForwardSpec>(layer.mlp).width);
                     }));
}

std::string shared_text(const ModelSpec& spec) {
  return for_all_layers(spec, [](const LayerSpec& layer) -> std::optional<std::string> {
    const MoeSpec* moe = layer.moe();
    if (moe == nullptr || !moe->shared) return std::nullopt;
    return fmt::format("width {}, sees every token{}", moe->shared->width,
                       moe->shared->gated ? ", times a sigmoid gate" : "");
  });
}

std::string multipliers_text(const ModelSpec& spec) {
  std::string text;
  const auto add = [&](const char* what, double scale) {
    if (scale != 1) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", what, scale);
  };
  add("embedding times", spec.embedding_scale);
  add("attention and network times", spec.residual_scale);
  add("logits divided by", spec.logit_divisor);
  return text;
}

Json mlp_json(const LayerSpec& layer) {
  const MoeSpec* moe = layer.moe();
  if (moe == nullptr) {
    return Json::object({{"kind", "dense"}, {"width", std::get<FeedForwardSpec>(layer.mlp).width}});
  }
  return Json::object(
      {{"kind", "moe"},
       {"n_experts", moe->router.n_experts},
       {"top_k", moe->router.top_k},
       {"scores",
        moe->router.softmax == SoftmaxOver::all_experts ? "softmax" : "softmax of the chosen"},
       {"normalise", moe->router.normalise},
       {"expert_width", moe->expert.width},
       {"shared_width", moe->shared ? Json(moe->shared->width) : Json()},
       {"shared_gated", moe->shared ? Json(moe->shared->gated) : Json()}});
}

// What differs from a plain rotary embedding: null, or an object with its `type`.
Json scaling_json(const RotaryScaling& scaling) {
  if (const auto* linear = std::get_if<LinearScaling>(&scaling)) {
    return Json::object({{"type", "linear"}, {"factor", linear->factor}});
  }
  if (const auto* llama3 = std::get_if<Llama3Scaling>(&scaling)) {
    return Json::object({{"type", "llama3"},
                         {"factor", llama3->factor},
                         {"low_freq_factor", llama3->low_freq_factor},
                         {"high_freq_factor", llama3->high_freq_factor},
                         {"original_positions", llama3->original_positions}});
  }
  if (const auto* yarn = std::get_if<YarnScaling>(&scaling)) {
    return Json::object({{"type", "yarn"},
                         {"factor", yarn->factor},
                         {"beta_fast", yarn->beta_fast},
                         {"beta_slow", yarn->beta_slow},
                         {"truncate", yarn->truncate},
                         {"amplitude", yarn->amplitude},
                         {"original_positions", yarn->original_positions}});
  }
  return {};
}

Json attention_json(const AttentionSpec& attention) {
  Json qk_norm;
  if (attention.qk_norm) {
    qk_norm = Json::object({{"over", attention.qk_norm->per_head ? "head" : "all heads"},
                            {"eps", attention.qk_norm->norm.eps}});
  }
  return Json::object(
      {{"n_heads", attention.n_heads},
       {"n_kv_heads", attention.n_kv_heads},
       {"head_dim", attention.head_dim},
       {"qk_norm", qk_norm},
       {"clip", attention.clip ? Json(*attention.clip) : Json()},
       {"scale", attention.scale ? Json(*attention.scale) : Json()},
       {"window", attention.window > 0 ? Json(attention.window) : Json()},
       {"qkv_bias", attention.qkv_bias},
       {"output_bias", attention.output_bias},
       {"rotary", Json::object({{"dim", attention.rotary.dim},
                                {"theta", attention.rotary.theta},
                                {"scaling", scaling_json(attention.rotary.scaling)}})}});
}

}  // namespace

std::vector<std::pair<std::string, std::string>> descriptor_rows(const ModelSpec& spec) {
  const auto of_attention = [&](std::string (*describe)(const AttentionSpec&)) {
    return for_all_layers(spec, [&](const LayerSpec& layer) -> std::optional<std::string> {
      return describe(layer.attention);
    });
  };
  const std::string norms =
      for_all_layers(spec, [](const LayerSpec& layer) -> std::optional<std::string> {
        return fmt::format("RMS {} attention and network, eps {}",
                           layer.norm_place == NormPlace::before ? "before" : "after",
                           layer.norm.eps);
      });
  std::vector<std::pair<std::string, std::string>> rows = {
      {"dense layers", dense_text(spec)},
      {"router", router_text(spec.router())},
      {"shared experts", shared_text(spec)},
      {"attention", of_attention(attention_text)},
      {"query and key norm", of_attention(qk_norm_text)},
      {"rotary embedding", of_attention(rotary_text)},
      {"norms", norms}};
  if (const std::string text = of_attention(window_text); text != "none") {
    rows.emplace_back("attention window", text);
  }
  if (const std::string text = multipliers_text(spec); !text.empty()) {
    rows.emplace_back("multipliers", text);
  }
  return rows;
}

Json layers_json(const ModelSpec& spec) {
  Json::Array layers;
  for (const LayerSpec& layer : spec.layers) {
    layers.push_back(
        Json::object({{"norm_eps", layer.norm.eps},
                      {"norm_place", layer.norm_place == NormPlace::before ? "before" : "after"},
                      {"attention", attention_json(layer.attention)},
                      {"mlp", mlp_json(layer)}}));
  }
  return Json(std::move(layers));
}

}  // namespace moexray::app
