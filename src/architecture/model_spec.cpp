#include "moexray/architecture/model_spec.h"

#include <algorithm>
#include <utility>

#include "moexray/core/error.h"
#include "size_limits.h"

namespace moexray {
namespace {

bool is_moe(const LayerSpec& layer) { return layer.moe() != nullptr; }

class SpecCheck {
 public:
  SpecCheck(const ModelSpec& spec, std::string_view where) : spec_(spec), where_(where) {}

  void run() const {
    require_size("vocabulary", spec_.vocab_size, max_vocab_size);
    require_size("hidden size", spec_.hidden_size, max_width);
    require_size("number of layers", static_cast<std::int64_t>(spec_.layers.size()), max_layers);
    require_scale("embedding scale", spec_.embedding_scale);
    require_scale("residual scale", spec_.residual_scale);
    require_scale("logit divisor", spec_.logit_divisor);
    if (spec_.moe_layers().empty()) fail("no layer has experts", "an MoE layer", {});
    const RouterSpec& router = spec_.router();
    for (std::size_t i = 0; i < spec_.layers.size(); ++i) {
      const std::string place = "layer " + std::to_string(i) + ": ";
      check_attention(place, spec_.layers[i].attention);
      if (const MoeSpec* moe = spec_.layers[i].moe()) {
        check_moe(place, *moe, router);
      } else {
        require_size(place + "width", std::get<FeedForwardSpec>(spec_.layers[i].mlp).width,
                     max_width);
      }
    }
    const auto n_moe_layers = static_cast<std::int64_t>(spec_.moe_layers().size());
    const std::int64_t n_experts = n_moe_layers * router.n_experts;
    if (n_experts > max_layer_experts) {
      fail("too many experts in all layers together",
           "at most " + std::to_string(max_layer_experts), std::to_string(n_experts));
    }
  }

 private:
  [[noreturn]] void fail(std::string what, std::string expected, std::string found) const {
    throw Error(ErrorKind::data,
                {std::move(what), std::string(where_), std::move(expected), std::move(found)});
  }

  void require_size(const std::string& what, std::int64_t size, std::int64_t limit) const {
    if (size < 1 || size > limit) {
      fail(what, "1 to " + std::to_string(limit), std::to_string(size));
    }
  }

  void require_scale(const std::string& what, double scale) const {
    if (!(scale >= min_scale && scale <= max_scale)) {
      fail(what, "a number from 1e-6 to 1e6", std::to_string(scale));
    }
  }

  void check_attention(const std::string& place, const AttentionSpec& attention) const {
    require_size(place + "heads", attention.n_heads, max_width);
    require_size(place + "key-value heads", attention.n_kv_heads, attention.n_heads);
    require_size(place + "width of a head", attention.head_dim, max_width / attention.n_heads);
    if (attention.n_heads % attention.n_kv_heads != 0) {
      fail(place + "key-value heads", "a divisor of " + std::to_string(attention.n_heads),
           std::to_string(attention.n_kv_heads));
    }
    const int dim = attention.rotary.dim;
    if (dim < 0 || dim % 2 != 0 || dim > attention.head_dim) {
      fail(place + "rotary width", "an even number from 0 to " + std::to_string(attention.head_dim),
           std::to_string(dim));
    }
    if (attention.scale) require_scale(place + "scale of attention", *attention.scale);
    if (attention.window < 0) {
      fail(place + "window", "at least 1, or 0 for none", std::to_string(attention.window));
    }
  }

  void check_moe(const std::string& place, const MoeSpec& moe, const RouterSpec& router) const {
    require_size(place + "experts", moe.router.n_experts, max_experts);
    require_size(place + "chosen experts", moe.router.top_k, moe.router.n_experts);
    require_size(place + "width of an expert", moe.expert.width, max_width);
    if (moe.shared) require_size(place + "shared width", moe.shared->width, max_width);
    if (!(moe.router == router)) {
      fail(place + "another router than in the layers before", "routers of one kind", {});
    }
  }

  const ModelSpec& spec_;
  std::string_view where_;
};

}  // namespace

std::vector<int> ModelSpec::moe_layers() const {
  std::vector<int> indices;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (is_moe(layers[i])) indices.push_back(static_cast<int>(i));
  }
  return indices;
}

const RouterSpec& ModelSpec::router() const {
  return std::find_if(layers.begin(), layers.end(), is_moe)->moe()->router;
}

RoutingShape ModelSpec::routing_shape() const {
  const auto n_layers = static_cast<int>(std::count_if(layers.begin(), layers.end(), is_moe));
  return {n_layers, router().n_experts, router().top_k};
}

std::array<std::int64_t, 3> cache_shape(const AttentionSpec& attention, std::int64_t n_positions) {
  return {attention.n_kv_heads, n_positions, attention.head_dim};
}

std::int64_t n_cache_values(const ModelSpec& spec) {
  std::int64_t n = 0;
  for (const LayerSpec& layer : spec.layers) {
    const auto [heads, positions, dim] = cache_shape(layer.attention, 1);
    n += 2 * heads * positions * dim;
  }
  return n;
}

void check_spec(const ModelSpec& spec, std::string_view where) { SpecCheck(spec, where).run(); }

}  // namespace moexray
