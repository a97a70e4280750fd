#include "model_descriptor.h"

#include <fmt/core.h>

#include <functional>
#include <optional>

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
  return text;
}

std::string qk_norm_text(const AttentionSpec& attention) {
  if (!attention.qk_norm) return "none";
  return fmt::format("RMS of {}, eps {}",
                     attention.qk_norm->per_head ? "each head" : "all heads together",
                     attention.qk_norm->norm.eps);
}

std::string rotary_text(const AttentionSpec& attention) {
  if (attention.rotary.dim == 0) return "none";
  const std::string part =
      attention.rotary.dim == attention.head_dim
          ? "whole heads"
          : fmt::format("{} of {} values a head", attention.rotary.dim, attention.head_dim);
  return fmt::format("{}, half-split, theta {}", part, attention.rotary.theta);
}

std::string router_text(const RouterSpec& router) {
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
    return fmt::format("width {}, sees every token", moe->shared->width);
  });
}

Json mlp_json(const LayerSpec& layer) {
  const MoeSpec* moe = layer.moe();
  if (moe == nullptr) {
    return Json::object({{"kind", "dense"}, {"width", std::get<FeedForwardSpec>(layer.mlp).width}});
  }
  return Json::object({{"kind", "moe"},
                       {"n_experts", moe->router.n_experts},
                       {"top_k", moe->router.top_k},
                       {"scores", "softmax"},
                       {"normalise", moe->router.normalise},
                       {"expert_width", moe->expert.width},
                       {"shared_width", moe->shared ? Json(moe->shared->width) : Json()}});
}

Json attention_json(const AttentionSpec& attention) {
  Json qk_norm;
  if (attention.qk_norm) {
    qk_norm = Json::object({{"over", attention.qk_norm->per_head ? "head" : "all heads"},
                            {"eps", attention.qk_norm->norm.eps}});
  }
  return Json::object({{"n_heads", attention.n_heads},
                       {"n_kv_heads", attention.n_kv_heads},
                       {"head_dim", attention.head_dim},
                       {"qk_norm", qk_norm},
                       {"clip", attention.clip ? Json(*attention.clip) : Json()},
                       {"rotary", Json::object({{"dim", attention.rotary.dim},
                                                {"theta", attention.rotary.theta}})}});
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
        return fmt::format("RMS before attention and network, eps {}", layer.norm.eps);
      });
  return {{"dense layers", dense_text(spec)},
          {"router", router_text(spec.router())},
          {"shared experts", shared_text(spec)},
          {"attention", of_attention(attention_text)},
          {"query and key norm", of_attention(qk_norm_text)},
          {"rotary embedding", of_attention(rotary_text)},
          {"norms", norms}};
}

Json layers_json(const ModelSpec& spec) {
  Json::Array layers;
  for (const LayerSpec& layer : spec.layers) {
    layers.push_back(Json::object({{"norm_eps", layer.norm.eps},
                                   {"attention", attention_json(layer.attention)},
                                   {"mlp", mlp_json(layer)}}));
  }
  return Json(std::move(layers));
}

}  // namespace moexray::app
