#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "moexray/core/routing.h"

namespace moexray {

// What a decoder-only mixture-of-experts model computes, as data. A model is
//
//   x = embedding(token) · embedding_scale
//   for each layer:  x += attention(norm(x)) · residual_scale;  x += mlp(norm(x)) · residual_scale
//   logits = head · norm(x) / logit_divisor
//
// and a spec says which attention, norms and networks these are. One function a family makes it of
// a config.json (table.h); the list of weights (weights.h), the forward pass and every size follow
// from it.

/// x / √(mean(x²) + eps) · w.
struct NormSpec {
  double eps = 1e-5;
  bool operator==(const NormSpec&) const = default;
};

/// How a rotary embedding is stretched to longer contexts: rotary.h has the formulas.
struct LinearScaling {
  double factor = 1;
  bool operator==(const LinearScaling&) const = default;
};
struct Llama3Scaling {
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;
  int original_positions = 0;  ///< of the context before it was stretched
  bool operator==(const Llama3Scaling&) const = default;
};
struct YarnScaling {
  double factor = 1;
  double beta_fast = 32, beta_slow = 1;
  bool truncate = true;        ///< the ramp begins and ends at whole numbers
  double amplitude = 1;        ///< cos and sin are multiplied by it
  int original_positions = 0;  ///< of the context before it was stretched
  bool operator==(const YarnScaling&) const = default;
};
using RotaryScaling = std::variant<std::monostate, LinearScaling, Llama3Scaling, YarnScaling>;

/// Rotary position embedding of the first `dim` values of a head, half-split: values i and
/// i + dim / 2 turn by position · f_i, where f_i is theta^(−2i/dim), scaled.
struct RotarySpec {
  int dim = 0;  ///< even, at most the width of a head
  double theta = 10000;
  RotaryScaling scaling;
  bool operator==(const RotarySpec&) const = default;
};

/// Norms of queries and keys before they are rotated.
struct QkNormSpec {
  NormSpec norm;
  bool per_head =
      false;  ///< each head by itself, with weights [head_dim]; else all heads as one row
  bool operator==(const QkNormSpec&) const = default;
};

/// Causal attention, softmax(q · k · scale) · v; several query heads share a key-value head.
struct AttentionSpec {
  int n_heads = 0;
  int n_kv_heads = 0;  ///< divides n_heads
  int head_dim = 0;
  std::optional<QkNormSpec> qk_norm;
  std::optional<double> clip;  ///< queries and keys (after their norms) and values to [−clip, clip]
  RotarySpec rotary;
  std::optional<double> scale;  ///< none: 1 / √head_dim
  int window = 0;  ///< a query sees its own and the window − 1 keys before it; 0: all before it
  bool qkv_bias = false;     ///< queries, keys and values have biases
  bool output_bias = false;  ///< so has the output
  bool operator==(const AttentionSpec&) const = default;
};

/// down(silu(gate(x)) · up(x)): a dense layer's network, or an expert.
struct FeedForwardSpec {
  int width = 0;
  bool operator==(const FeedForwardSpec&) const = default;
};

/// A network that sees every token. Its output is added as it is, or times sigmoid(w · x).
struct SharedExpertSpec {
  int width = 0;
  bool gated = false;
  bool operator==(const SharedExpertSpec&) const = default;
};

/// What the softmax of a router goes over.
enum class SoftmaxOver {
  all_experts,  ///< the most probable are chosen; their probabilities are their weights
  chosen,       ///< those with the largest logits are chosen; the softmax of these is their weights
};

/// Chooses top_k experts, of equal ones the lower id, and gives them weights.
struct RouterSpec {
  int n_experts = 0;
  int top_k = 0;
  bool normalise = false;  ///< weights are divided by their sum
  SoftmaxOver softmax = SoftmaxOver::all_experts;
  /// Weights stay float32 whatever the type of the computation; else they are rounded to it.
  bool float32_weights = false;
  bool operator==(const RouterSpec&) const = default;
};

struct MoeSpec {
  RouterSpec router;
  FeedForwardSpec expert;
  std::optional<SharedExpertSpec> shared;
  bool operator==(const MoeSpec&) const = default;
};

/// Where the norms of a layer stand: x + f(norm(x)), or x + norm(f(x)).
enum class NormPlace { before, after };

struct LayerSpec {
  NormSpec norm;  ///< both: attention's and the network's
  AttentionSpec attention;
  std::variant<FeedForwardSpec, MoeSpec> mlp;
  NormPlace norm_place = NormPlace::before;

  /// Null for a dense layer.
  const MoeSpec* moe() const { return std::get_if<MoeSpec>(&mlp); }
  bool operator==(const LayerSpec&) const = default;
};

struct ModelSpec {
  int vocab_size = 0;
  int hidden_size = 0;
  std::vector<LayerSpec> layers;
  NormSpec final_norm;
  bool tied_embeddings = false;  ///< the head is the embedding
  double embedding_scale = 1;
  double residual_scale = 1;  ///< of what a layer's attention and network add
  double logit_divisor = 1;

  /// The transformer layers that are MoE layers, from 0: MoE layer ℓ is layer moe_layers()[ℓ].
  std::vector<int> moe_layers() const;
  /// Of the MoE layers, which have routers of one kind. To be called where there is one.
  const RouterSpec& router() const;
  RoutingShape routing_shape() const;
  bool operator==(const ModelSpec&) const = default;
};

/// The keys of one layer for a sequence, and likewise its values: [kv heads, positions, head_dim].
std::array<std::int64_t, 3> cache_shape(const AttentionSpec& attention, std::int64_t n_positions);

/// Values that the key-value caches of all layers hold for one token.
std::int64_t n_cache_values(const ModelSpec& spec);

/// @throws Error (data) with `where` for what no family may give: no layer or no MoE layer, sizes
///   below 1, MoE layers with routers of several kinds, more experts in all layers than can be
///   listed, more chosen experts than there are, key-value heads that do not divide the heads,
///   rotary widths that are odd or beyond the head's, negative windows, scales outside 1e-6 to 1e6.
void check_spec(const ModelSpec& spec, std::string_view where);

}  // namespace moexray
