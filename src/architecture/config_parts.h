#pragma once

#include <string_view>
#include <vector>

#include "moexray/architecture/config_reader.h"
#include "moexray/architecture/model_spec.h"

namespace moexray {

// What the configs of several families say alike, read with the checks that all of them need. Every
// function throws Error (data) that names the file, the key, what was expected and what was found.

/// Vocabulary, hidden size, final norm and tied embeddings: a spec without layers.
ModelSpec read_frame(const ConfigReader& config, double default_eps);

/// `num_hidden_layers`.
int read_n_layers(const ConfigReader& config);

/// Heads and their width: `head_dim`, or else hidden_size / num_attention_heads. `attention_bias`
/// gives all four projections biases.
AttentionSpec read_attention(const ConfigReader& config, int hidden_size, double default_theta);

/// The rotary embedding of whole heads: `rope_parameters` of transformers 5, or `rope_theta` and
/// `rope_scaling` of transformers 4; default, linear, llama3 or yarn.
RotarySpec read_rotary(const ConfigReader& config, int head_dim, double default_theta);

/// `num_experts`, which some call `num_local_experts`, and `num_experts_per_tok`; `norm_topk_prob`.
RouterSpec read_router(const ConfigReader& config, int n_layers);

/// The layers of a Qwen model that have experts: layer i does if it is not in `mlp_only_layers` and
/// i + 1 is a multiple of `decoder_sparse_step`.
std::vector<bool> read_sparse_layers(const ConfigReader& config, int n_layers);

/// A multiplier, 1 if the key is absent.
double read_scale(const ConfigReader& config, std::string_view key);

/// `sliding_window`, at least 1, or what an absent one means.
int read_window(const ConfigReader& config, int fallback);

/// Refuses a `hidden_act` that is not silu.
void require_silu(const ConfigReader& config);

}  // namespace moexray
