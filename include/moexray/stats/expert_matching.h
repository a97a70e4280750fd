#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "moexray/stats/agreement.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/paired_prompts.h"
#include "moexray/stats/permutation_tests.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

struct MatchingOptions {
  double min_use = 0.2;      ///< experts chosen less often than that times k/E are not matched
  int n_permutations = 199;  ///< of the prompts; fewer where a draw is long
  std::size_t min_units = 10;
  std::uint64_t seed = 0;
  int n_threads = 1;  ///< does not change the result
  Work work = {};
};

/// An expert of the first routing and the one of the second that is chosen with it. Of all prompts:
/// rates are in-sample, what overlap of the layer is not.
struct MatchedExpert {
  int expert = 0;
  int other = 0;
  double rate = undefined;    ///< of the tokens that choose `expert`, those that choose `other`
  double excess = undefined;  ///< rate − what popularity gives
  /// excess − the largest of the other experts of the second: below 0 where the assignment gave a
  /// better one to another.
  double runner_up_gap = undefined;
  bool stable = false;  ///< matched alike by each half of the prompts alone
};

struct MatchedLayer {
  int layer = 0;
  int other_layer = 0;  ///< of all prompts; halves choose their own
  ClusteredEstimate
      heldout_overlap;              ///< share of the smaller set, experts matched by other prompts
  double popularity = undefined;    ///< what popularity gives the matched experts
  double same_prompt = undefined;   ///< what other tokens of the prompt give
  ClusteredEstimate kappa;          ///< beyond popularity
  double kappa_prompt = undefined;  ///< beyond the same prompt
  double stability = undefined;     ///< share of the experts matched that both halves match alike
  double identity = undefined;      ///< share matched to their own number; undefined: other E
  int n_unused_first = 0;
  int n_unused_second = 0;
  std::vector<MatchedExpert> pairs;
};

struct MatchingResult {
  std::vector<MatchedLayer> layers;    ///< [L_A]; none: see `reason`
  double heldout_overlap = undefined;  ///< mean over layers
  double kappa = undefined;            ///< likewise
  double identity = undefined;         ///< likewise
  PermutationTest test;                ///< of kappa
  std::string reason;                  ///< why nothing was matched
  std::string not_tested;              ///< why there is no test

  /// Experts of both may be taken for each other: in nine of ten layers most are best matched by
  /// their own number, in the layer of the same number.
  bool same_experts() const;
};

/// Which expert of the second routing is which of the first?
///
/// On one half of the prompts (of whole units, alternately in a random order within categories),
/// N_ij counts the tokens for which i is chosen in the first and j in the second; the assignment σ
/// maximises Σ_i (N_iσ(i) − N_i N_σ(i) / T), without the centring popular experts would attract
/// all. It is evaluated on the other half alone; then the halves change sides. In-sample the
/// overlap of independent routers is far above chance.
///
/// A layer ℓ of the first is matched with the layer of the second that has the best κ on the
/// matching half, so that the layers' order is kept (dynamic programming). Where that takes too
/// long only layers of about the same relative depth are looked at.
///
/// Test: prompts of the second are permuted within categories (tokens by position, as far as both
/// have them) and experts matched and evaluated anew, in the layers that were found.
/// @param pair with the same tokens
/// @throws Error (interrupted)
MatchingResult match_experts(const PairedPrompts& pair, const MatchingOptions& options);

/// The assignment of rows to columns, each at most once, of the largest sum; as many as the
/// smaller side has. O(r² c) for r rows and c ≥ r columns.
/// @returns [rows] the column, −1: none
std::vector<int> best_assignment(const Matrix& profit);

/// The columns, one for each row and never descending, of the largest sum.
/// @param score [rows, columns] −∞: not allowed
std::vector<int> best_monotone_path(const Matrix& score);

}  // namespace moexray::stats
