#pragma once

#include <cstdint>

#include "moexray/core/routing.h"

namespace moexray {

// Bounds far above any real model. With them every product of sizes fits 63 bits, and a list of all
// weights stays below a few hundred megabytes.
inline constexpr int max_vocab_size = 1 << 24;
inline constexpr int max_width = 1 << 20;
inline constexpr int max_layers = 1 << 10;
inline constexpr std::int64_t max_layer_experts = 1 << 17;  // layers · experts
inline constexpr int max_positions = 1 << 26;               // of a context
inline constexpr double min_scale = 1e-6, max_scale = 1e6;  // of multipliers

}  // namespace moexray
