#include "moexray/routing/router_rule.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "kernels/row_kernels.h"

namespace moexray {
namespace {

constexpr float never = -std::numeric_limits<float>::infinity();

// Up to here comparing all with all is faster than keeping the largest so far.
constexpr std::size_t max_ranked = 128;

// The k largest of p, largest first; of equal values the one with the lower index comes first.
void top_k_of(std::span<const float> p, std::span<ExpertId> ids) {
  std::array<std::int32_t, max_ranked> rank;
  if (p.size() <= max_ranked &&
      kernels::row_kernels().ranks(p.data(), std::ssize(p), rank.data())) {
    for (std::size_t e = 0; e < p.size(); ++e) {
      const auto at = static_cast<std::size_t>(rank[e]);
      if (at < ids.size()) ids[at] = static_cast<ExpertId>(e);
    }
    return;
  }
  const auto value = [&](ExpertId e) { return p[static_cast<std::size_t>(e)]; };
  std::size_t n_found = 0;
  for (ExpertId e = 0; e < std::ssize(p); ++e) {
    if (n_found == ids.size() && !(value(e) > value(ids.back()))) continue;
    std::size_t at = n_found < ids.size() ? n_found++ : ids.size() - 1;
    for (; at > 0 && value(e) > value(ids[at - 1]); --at) ids[at] = ids[at - 1];
    ids[at] = e;
  }
}

// p becomes softmax(p); the softmax of rows of −∞ and numbers has zeros.
void softmax(std::span<float> p) {
  const auto& kernels = kernels::row_kernels();
  const auto n = static_cast<std::int64_t>(p.size());
  const float sum = kernels.exp_sum(p.data(), n, kernels.max(p.data(), n));
  for (float& value : p) value /= sum;
}

// Experts and weights of one row by the softmax over all, which p becomes.
void choose_of_all(const RouterSpec& router, std::span<const float> logits, std::span<float> p,
                   std::span<ExpertId> ids, std::span<float> weights) {
  std::ranges::copy(logits, p.begin());
  softmax(p);
  // A forbidden expert comes behind one that is merely too improbable for a float.
  for (std::size_t e = 0; e < p.size(); ++e) {
    if (logits[e] == never) p[e] = -1;
  }
  top_k_of(p, ids);
  for (float& value : p) value = std::max(value, 0.0F);
  for (std::size_t j = 0; j < ids.size(); ++j) weights[j] = p[static_cast<std::size_t>(ids[j])];
  if (!router.normalise) return;
  float total = 0;
  for (const float weight : weights) total += weight;
  for (float& weight : weights) weight /= total;
}

// The same by the logits themselves, with the softmax of those that are chosen.
void choose_by_logits(std::span<const float> logits, std::span<ExpertId> ids,
                      std::span<float> weights) {
  top_k_of(logits, ids);
  for (std::size_t j = 0; j < ids.size(); ++j) {
    weights[j] = logits[static_cast<std::size_t>(ids[j])];
  }
  softmax(weights);
}

}  // namespace

void select_experts(const RouterSpec& router, std::span<const float> logits,
                    std::span<ExpertId> experts, std::span<float> weights,
                    std::span<float> probabilities) {
  const auto n_experts = static_cast<std::size_t>(router.n_experts),
             k = static_cast<std::size_t>(router.top_k);
  std::vector<float> p(n_experts);
  for (std::size_t row = 0; row * n_experts < logits.size(); ++row) {
    const auto own = logits.subspan(row * n_experts, n_experts);
    const auto ids = experts.subspan(row * k, k);
    const auto own_weights = weights.subspan(row * k, k);
    if (router.softmax == SoftmaxOver::all_experts) {
      choose_of_all(router, own, p, ids, own_weights);
    } else {
      choose_by_logits(own, ids, own_weights);
      if (probabilities.empty()) continue;
      std::ranges::copy(own, p.begin());
      softmax(p);
    }
    if (!probabilities.empty()) std::ranges::copy(p, probabilities.begin() + row * n_experts);
  }
}

}  // namespace moexray
