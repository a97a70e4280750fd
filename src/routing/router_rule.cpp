#include "moexray/routing/router_rule.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/row_kernels.h"

namespace moexray {
namespace {

constexpr float never = -std::numeric_limits<float>::infinity();

// The k largest of p, largest first; of equal values the one with the lower index comes first.
void top_k_of(std::span<const float> p, std::span<ExpertId> ids) {
  const auto value = [&](ExpertId e) { return p[static_cast<std::size_t>(e)]; };
  std::size_t n_found = 0;
  for (ExpertId e = 0; e < std::ssize(p); ++e) {
    if (n_found == ids.size() && !(value(e) > value(ids.back()))) continue;
    std::size_t at = n_found < ids.size() ? n_found++ : ids.size() - 1;
    for (; at > 0 && value(e) > value(ids[at - 1]); --at) ids[at] = ids[at - 1];
    ids[at] = e;
  }
}

}  // namespace

void select_experts(const RouterSpec& router, std::span<const float> logits,
                    std::span<ExpertId> experts, std::span<float> weights,
                    std::span<float> probabilities) {
  const auto& kernels = kernels::row_kernels();
  const auto n_experts = static_cast<std::size_t>(router.n_experts),
             k = static_cast<std::size_t>(router.top_k);
  std::vector<float> p(n_experts);
  for (std::size_t row = 0; row * n_experts < logits.size(); ++row) {
    std::ranges::copy(logits.subspan(row * n_experts, n_experts), p.begin());
    const float sum =
        kernels.exp_sum(p.data(), router.n_experts, kernels.max(p.data(), router.n_experts));
    for (float& value : p) value /= sum;
    // A forbidden expert comes behind one that is merely too improbable for a float.
    for (std::size_t e = 0; e < n_experts; ++e) {
      if (logits[row * n_experts + e] == never) p[e] = -1;
    }
    const std::span<ExpertId> ids = experts.subspan(row * k, k);
    top_k_of(p, ids);
    for (float& value : p) value = std::max(value, 0.0F);
    float total = 0;
    for (const ExpertId e : ids) total += p[static_cast<std::size_t>(e)];
    for (std::size_t j = 0; j < k; ++j) {
      const float weight = p[static_cast<std::size_t>(ids[j])];
      weights[row * k + j] = router.normalise ? weight / total : weight;
    }
    if (!probabilities.empty()) std::ranges::copy(p, probabilities.begin() + row * n_experts);
  }
}

}  // namespace moexray
