#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moexray/architecture/model_spec.h"

namespace moexray {

/// How often each expert is chosen by rows of logits. @param logits [rows, E] @return [E]
std::vector<std::int64_t> expert_loads(const RouterSpec& router, std::span<const float> logits);

/// Biases that, added to a router's logits, make it choose its experts as often as another router
/// does: at most 24 steps bₑ += c · s · log((tₑ + ½) / (nₑ + ½)) with the load nₑ under the biases
/// so far, s the standard deviation of logits around the mean of their row, and c falling from 0.6,
/// until Σ |nₑ − tₑ| is at most 1% of all choices; of all steps the one with the smallest sum is
/// returned. A function of the rows alone.
/// @param logits [rows, E]
/// @param target [E] t, adding up to rows · top_k
/// @return [E]
std::vector<float> load_matching_biases(const RouterSpec& router, std::span<const float> logits,
                                        std::span<const std::int64_t> target);

}  // namespace moexray
