#pragma once

#include <cstdint>
#include <span>

#include "moexray/architecture/model_spec.h"
#include "moexray/core/routing.h"

namespace moexray {

/// Chooses the experts of rows of logits, in float32, of equal values the lower id first.
///
/// - SoftmaxOver::all_experts: the top k of p = softmax(logits) over all experts; their weights are
///   p, or with `normalise` p / Σ p of the chosen.
/// - SoftmaxOver::chosen: the top k of the logits; their weights are the softmax of these k.
///
/// What a row gives depends on that row alone.
/// @param logits [rows, n_experts]
/// @param experts [rows, top_k], the one that the router ranks highest first
/// @param weights [rows, top_k]
/// @param probabilities softmax(logits), [rows, n_experts], or empty: not wanted
void select_experts(const RouterSpec& router, std::span<const float> logits,
                    std::span<ExpertId> experts, std::span<float> weights,
                    std::span<float> probabilities = {});

}  // namespace moexray
