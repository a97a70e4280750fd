#include "moexray/routing/policy.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "moexray/core/error.h"

namespace moexray {
namespace {

[[noreturn]] void refuse(const RoutingPolicy& policy, const RouterRow& row, std::string_view what,
                         std::string expected, std::string found) {
  throw Error(ErrorKind::runtime,
              {fmt::format("the routing policy \"{}\" {}", policy.canonical(), what),
               fmt::format("MoE layer {}, position {}", row.layer, row.pos), std::move(expected),
               std::move(found)});
}

void check_logits(const RouterSpec& router, const RoutingPolicy& policy, const RouterRow& row,
                  std::span<const float> logits) {
  constexpr float never = -std::numeric_limits<float>::infinity();
  for (const float logit : logits) {
    if (std::isfinite(logit) || logit == never) continue;
    refuse(policy, row, "gives a logit that is no number", "a number or -inf",
           std::to_string(logit));
  }
  const auto n_forbidden = std::ranges::count(logits, never);
  if (router.n_experts - n_forbidden >= router.top_k) return;
  refuse(policy, row, "forbids too many experts", fmt::format("{} left", router.top_k),
         std::to_string(router.n_experts - n_forbidden));
}

void check_choice(const RouterSpec& router, const RoutingPolicy& policy, const RouterRow& row,
                  std::span<const ExpertId> experts, std::span<const float> weights) {
  for (std::size_t j = 0; j < experts.size(); ++j) {
    if (experts[j] < 0 || experts[j] >= router.n_experts) {
      refuse(policy, row, "chooses an expert that is not there",
             fmt::format("0 to {}", router.n_experts - 1), std::to_string(experts[j]));
    }
    if (std::ranges::count(experts.first(j), experts[j]) > 0) {
      refuse(policy, row, "chooses an expert twice", "each once", std::to_string(experts[j]));
    }
    if (!std::isfinite(weights[j]) || weights[j] < 0) {
      refuse(policy, row, "gives a weight that is negative or not finite", {},
             std::to_string(weights[j]));
    }
  }
}

}  // namespace

void select_under_policy(const RouterSpec& router, const RoutingPolicy& policy,
                         const RouterRow& row, std::span<float> logits, std::span<ExpertId> experts,
                         std::span<float> weights) {
  policy.on_logits(row, logits);
  check_logits(router, policy, row, logits);
  select_experts(router, logits, experts, weights);
  policy.on_choice(row, logits, experts, weights);
  check_choice(router, policy, row, experts, weights);
}

}  // namespace moexray
