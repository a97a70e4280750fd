#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "moexray/stats/matrix.h"
#include "moexray/stats/paired_prompts.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

struct CkaOptions {
  int n_permutations = 9999;     ///< of the prompts; fewer for many
  std::size_t max_tested = 500;  ///< prompts that are tested, the first in an order of the seed
  std::size_t min_units = 10;
  std::uint64_t seed = 0;
  int n_threads = 1;  ///< does not change the result
  Work work = {};
};

/// How alike two routings place prompts, for each layer of one with each of the other.
struct CkaResult {
  Matrix
      value;  ///< [L_A, L_B] of all tokens; where both read the same ones these count on both sides
  /// [L_A, L_B] ½ (CKA(A₁, B₂) + CKA(A₂, B₁)) of halves of the tokens as in rsa(); without rows:
  /// there are none.
  Matrix cross_half;
  /// [L_A, L_B] of cross_half, or of value where there are no halves, on the tested pair: prompts
  /// are permuted, within categories if there are several; max-T over all pairs of layers of values
  /// standardised by mean and deviation over all permutations, the observed order among them.
  Matrix p_adjusted;
  int n_draws = 0;
  bool tests_halves = false;
  bool within_categories = false;
  std::string not_tested;  ///< why there is no test
};

/// @param pair all tokens
/// @param tested equal numbers of tokens of every prompt
/// @param block as RsaResult::block; 0: no halves
/// @throws Error (interrupted)
CkaResult cka(const PairedPrompts& pair, const TestedPair& tested, int block,
              const CkaOptions& options);

/// Linear centred kernel alignment without bias, HSIC(K, M) / √(HSIC(K, K) HSIC(M, M)) with K =
/// XXᵀ, M = YYᵀ and the unbiased HSIC of Song et al. (2012, Feature selection via dependence
/// maximization, JMLR 13, equation 5): [tr(K̃M̃) + 1ᵀK̃1·1ᵀM̃1/((n − 1)(n − 2)) − 2·1ᵀK̃M̃1/(n − 2)] /
/// (n(n − 3)), K̃ and M̃ with zero diagonals. Its mean is 0 for independent rows (that of the usual
/// one is near 1 with more columns than rows). Undefined below 4 rows, or where an HSIC in the
/// denominator is not positive.
/// @param first [n, D]
/// @param second [n, D′]
double unbiased_cka(const Matrix& first, const Matrix& second);

}  // namespace moexray::stats
