#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "moexray/stats/bootstrap.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/paired_prompts.h"
#include "moexray/stats/permutation_tests.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

struct RsaOptions {
  int n_resamples = 999;      ///< of the bootstrap; fewer for many prompts
  int n_permutations = 9999;  ///< of the prompts; fewer for many
  std::size_t min_units = 10;
  std::uint64_t seed = 0;
  int n_threads = 1;  ///< does not change the result
  Work work = {};
};

/// Whether two routings find the same prompts alike: Pearson's r over the pairs of prompts (of
/// different units) between the similarities that they have in one routing and in the other.
struct RsaResult {
  /// Of all tokens. Where both read the same tokens, that two prompts have a token in common counts
  /// on both sides, whatever the routers are.
  IntervalEstimate same_tokens;
  /// ½ (r(A₁, B₂) + r(A₂, B₁)), halves of every prompt's tokens by alternating blocks: no token on
  /// both sides.
  IntervalEstimate cross_half;
  /// r(A₁, A₂) and r(B₁, B₂): what half of the tokens lets one know of a routing.
  std::array<IntervalEstimate, 2> reliability;
  /// cross_half / √(ρ_A ρ_B), of prompts of endless length; `reason` where the reliabilities are
  /// below 0.2 or not above 0 for sure.
  IntervalEstimate corrected;
  int block = 0;                     ///< tokens of a block; 0: there are no halves
  std::size_t n_without_halves = 0;  ///< prompts left out of all that takes halves: too short

  /// Mantel's test on the tested pair: the prompts of B are permuted, all of them or within their
  /// categories. One-sided, of cross_half, or of same_tokens where there are no halves.
  PermutationTest mantel;
  PermutationTest mantel_within;
  bool tests_halves = false;
  std::string not_tested;         ///< why there is no test
  std::string not_tested_within;  ///< why there is none within categories
};

/// Intervals: studentised bootstrap over units within categories, on Fisher's z (ratios: as they
/// are), pairs of a unit and its own copy left out.
/// @param pair all tokens
/// @param tested equal numbers of tokens of every prompt
/// @throws Error (interrupted)
RsaResult rsa(const PairedPrompts& pair, const TestedPair& tested, const RsaOptions& options);

/// Pearson's r between the similarities of two routings of the same prompts, over the pairs of
/// prompts of different units.
/// @param first [n, D] unit blocks
/// @param second [n, D′]
double rsa_correlation(const Matrix& first, const Matrix& second, const Units& units);

}  // namespace moexray::stats
