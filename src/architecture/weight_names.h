#pragma once

#include <string>

#include "moexray/architecture/weights.h"

namespace moexray {

// Names that several families share, as transformers gives them.

/// "model.layers.3."
std::string layer_prefix(int layer);

/// `q_proj`, `k_proj`, `v_proj` and `o_proj` of a layer with the biases that it has, and `q_norm`
/// and `k_norm` where it has those.
void add_attention(const ModelSpec& spec, int layer, WeightList& list);

/// `gate_proj`, `up_proj` and `down_proj` below a prefix: a dense layer's network, or a shared
/// expert.
void add_network(int layer, const std::string& prefix, bool is_shared, WeightList& list);

/// `mlp.gate` and `mlp.experts`.
void add_mixture(int layer, WeightList& list);

/// The head and the norm before it.
void add_head(WeightList& list);

}  // namespace moexray
