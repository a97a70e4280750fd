#pragma once

#include <atomic>
#include <cstdint>

#include "moexray/stats/matrix.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/uniform_null.h"

namespace moexray::stats {

struct PopularityOptions {
  int n_draws = 100;
  std::uint64_t seed = 0;
  int n_threads = 1;                        ///< does not change the result
  const std::atomic<bool>* stop = nullptr;  ///< once true, the work ends with Error (interrupted)
};

struct PopularityNull {
  ExpectedSimilarity expected;   ///< closed form
  ExpectedSimilarity simulated;  ///< mean over draws
  double draw_std = undefined;   ///< sample standard deviation of the draws' means of all pairs
  int n_draws = 0;
};

/// The chance that a token chooses each expert, π: the share of a category's selected tokens that
/// do, averaged over categories with equal weight. Σ_e π_{ℓ,e} = k at every layer.
/// @return [L, E]
Matrix inclusion_probabilities(const RoutedTokens& tokens, const CategoryIndex& categories);

/// √(1/f) with f = 1 + (k − S₂)/(S₂·T), S₂ = Σ_e π_e²: two prompts of T₁ and T₂ independent tokens
/// that choose experts by π have E cos ≈ 1/√(f₁·f₂), because E‖A‖² = T²S₂ + T(k − S₂).
double popularity_factor(const Eigen::Ref<const Vector>& probabilities, std::int64_t n_tokens);

/// The similarity that prompts would have if all drew their tokens from one pool in which some
/// experts are popular and categories mean nothing. Simulated by drawing whole tokens, all layers
/// together, with replacement: first a category, then one of its tokens.
/// @throws Error (interrupted)
PopularityNull popularity_null(const RoutedTokens& tokens, const Signatures& signatures,
                               const CategoryIndex& categories, const PopularityOptions& options);

}  // namespace moexray::stats
