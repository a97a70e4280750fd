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
//   x = embedding(token)
//   for each layer:  x += attention(norm(x));  x += mlp(norm(x))
//   logits = head · norm(x)
//
// and a spec says which attention, norms and networks these are. One function a family makes it of
// a config.json (table.h); the list of weights (weights.h), the forward pass and every size follow
// from it.

/// x / √(mean(x²) + eps) · w.
struct NormSpec {
  double eps = 1e-5;
  bool operator==(const NormSpec&) const = default;
};

/// Rotary position embedding of the first `dim` values of a head, half-split: values i and
/// i + dim / 2 turn by position · theta^(−2i/dim).
struct RotarySpec {
  int dim = 0;  ///< even, at most the width of a head
  double theta = 10000;
  bool operator==(const RotarySpec&) const = default;
};

/// Norms of queries and keys before they are rotated.
struct QkNormSpec {
  NormSpec norm;
  bool per_head =
      false;  ///< each head by itself, with weights [head_dim]; else all heads as one row
  bool operator==(const QkNormSpec&) const = default;
};

/// Causal attention, softmax(q · k / √head_dim) · v; several query heads share a key-value head.
struct AttentionSpec {
  int n_heads = 0;
  int n_kv_heads = 0;  ///< divides n_heads
  int head_dim = 0;
  std::optional<QkNormSpec> qk_norm;
  std::optional<double> clip;  ///< queries and keys (after their norms) and values to [−clip, clip]
  RotarySpec rotary;
  bool operator==(const AttentionSpec&) const = default;
};

/// down(silu(gate(x)) · up(x)): a dense layer's network, an expert, or a shared expert.
struct FeedForwardSpec {
  int width = 0;
  bool operator==(const FeedForwardSpec&) const = default;
};

/// The softmax of the logits over all experts; the most probable top_k are chosen, of equal ones
/// the lower id, and their probabilities are their weights.
struct RouterSpec {
  int n_experts = 0;
  int top_k = 0;
  bool normalise = false;  ///< weights are divided by their sum
  bool operator==(const RouterSpec&) const = default;
};

struct MoeSpec {
  RouterSpec router;
  FeedForwardSpec expert;
  std::optional<FeedForwardSpec> shared;  ///< sees every token; its output is added as it is
  bool operator==(const MoeSpec&) const = default;
};

struct LayerSpec {
  NormSpec norm;  ///< both: before attention and before the network
  AttentionSpec attention;
  std::variant<FeedForwardSpec, MoeSpec> mlp;

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
///   rotary widths that are odd or beyond the head's.
void check_spec(const ModelSpec& spec, std::string_view where);

}  // namespace moexray
