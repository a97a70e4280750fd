#pragma once

#include <cstdint>

#include "moexray/core/routing.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

/// How routing without any preference chooses a token's k experts.
enum class LoadBalance {
  distinct,    ///< k different experts, every selection equally likely
  multinomial  ///< k draws with replacement
};

/// φ(T): the mean cosine between the signature of T tokens that are routed uniformly at a layer and
/// the uniform signature. Two independent prompts have E cos = φ(T₁)·φ(T₂).
///
/// distinct, with p = k/E: φ(T) ≈ (1 + (1−p)/(pT))^(−1/2) · (1 + ⅜·CV²), where CV is the
/// coefficient of variation of ‖A‖²: CV² = 2T(T−1)v / (Tk(1−p) + T²k²/E)², v = k²(E−k)²/(E²(E−1));
/// exact for k = E. multinomial, with A = kT: (1 + (E−1)/A)^(−1/2), the first order alone.
double uniform_factor(const RoutingShape& shape, std::int64_t n_tokens, LoadBalance model);

/// The mean similarity that uniform routing would give the pairs of these prompts, each keeping its
/// numbers of tokens: φ(T₁)·φ(T₂) averaged over layers and pairs. Undefined below two prompts.
double expected_uniform_similarity(const Signatures& signatures, LoadBalance model);

/// A mean similarity by kind of pair. Undefined without a pair.
struct ExpectedSimilarity {
  double within = undefined;
  double across = undefined;
  double all = undefined;
};

/// expected_uniform_similarity for the pairs within and across categories, at one layer or, for −1,
/// averaged over layers.
ExpectedSimilarity expected_uniform_by_kind(const Signatures& signatures,
                                            const CategoryIndex& categories, LoadBalance model,
                                            int layer = -1);

/// The mean of x_a·x_b over pairs of prompts of one category, of different ones, and of all.
/// @param x [n]
ExpectedSimilarity pair_mean_of_products(const Vector& x, const CategoryIndex& categories);

/// The mean similarity of pairs whose experts are permuted independently in every prompt and layer,
/// exactly: E[s_a·s_b] = 1/E, so the mean of (1/L) Σ_ℓ 1/(E·‖s_a‖·‖s_b‖) over the pairs. Undefined
/// below two prompts.
double expected_permuted_similarity(const Signatures& signatures);

}  // namespace moexray::stats
