#pragma once

#include <cstdint>
#include <span>

namespace moexray {

using TokenId = std::int32_t;
using ExpertId = std::int32_t;

/// Far above any real model; ids of experts are kept in 16 bits.
inline constexpr int max_experts = 1 << 16;

/// The routing geometry of a model, in the paper's symbols.
struct RoutingShape {
  int n_layers = 0;   ///< L: MoE layers
  int n_experts = 0;  ///< E: experts per layer
  int top_k = 0;      ///< k: experts per token and layer

  bool operator==(const RoutingShape&) const = default;
};

enum class TokenType : std::uint8_t { prompt, generation };

/// What the router decided for one token at one MoE layer: k routing events (ℓ, t, e) of the
/// paper's equation 2. Spans are valid only during the call that passes the record.
struct RoutingRecord {
  int layer = 0;         ///< MoE layer ℓ, from 0
  std::int64_t pos = 0;  ///< token position in the sequence, from 0
  TokenType type = TokenType::prompt;
  bool is_template = false;           ///< the chat template added this token
  TokenId token_id = -1;              ///< −1: not recorded
  std::span<const ExpertId> experts;  ///< [k], highest in the choice first; ties: lower id first
  std::span<const float> weights;     ///< [k] as the model applies them, or empty: not recorded
};

}  // namespace moexray
