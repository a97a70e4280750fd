#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "moexray/core/routing.h"
#include "moexray/routing/router_rule.h"

namespace moexray {

/// A token at a router: what a routing policy may decide by. Where it stands is given by its
/// sequence and position; whoever made the session knows what they mean (which prompt, and which
/// part of it).
struct RouterRow {
  int layer = 0;         ///< MoE layer, from 0
  int slot = 0;          ///< of the session: the sequence
  std::int64_t pos = 0;  ///< in the sequence, from 0
  TokenId token_id = 0;
  std::span<const float> hidden;  ///< what the router multiplies, [hidden]; empty unless asked for
};

/// Changes what routers decide. A policy is a function of the row and of nothing else, so that
/// neither the other rows of a pass nor the number of threads change what it gives: several threads
/// call it at once, on different rows.
class RoutingPolicy {
 public:
  virtual ~RoutingPolicy() = default;
  /// Whether RouterRow::hidden is wanted at this MoE layer. It costs a copy of the rows.
  virtual bool wants_hidden(int /*layer*/) const { return false; }
  /// Before the choice: may change the row's logits, [n_experts]. −∞ forbids an expert.
  virtual void on_logits(const RouterRow& /*row*/, std::span<float> /*logits*/) const {}
  /// After the choice: may change the experts, [top_k], ids in [0, n_experts) and each once, and
  /// the weights that the model applies, [top_k] finite and not negative; 0 leaves an expert out.
  virtual void on_choice(const RouterRow& /*row*/, std::span<const float> /*logits*/,
                         std::span<ExpertId> /*experts*/, std::span<float> /*weights*/) const {}
  /// What the policy does, as text, not empty and not "none": policies with the same text do the
  /// same. It is part of a
  /// trace's manifest, and of what resuming a trace compares.
  virtual std::string canonical() const = 0;
};

/// Chooses the experts of one row under a policy: on_logits, then the router's rule, then
/// on_choice, then checks what came of it.
/// @param logits [n_experts]; afterwards what the choice was made by
/// @throws Error (runtime) naming the policy, layer and position, for fewer than top_k experts
///   allowed, ids that are out of range or doubled, or a weight that is negative or not finite.
void select_under_policy(const RouterSpec& router, const RoutingPolicy& policy,
                         const RouterRow& row, std::span<float> logits, std::span<ExpertId> experts,
                         std::span<float> weights);

}  // namespace moexray
