#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "moexray/stats/compared_prompts.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/similarity.h"
#include "moexray/stats/uniform_null.h"

namespace moexray::stats {

struct BaselineOptions {
  int n_draws = 100;      ///< of the permutation and the load-balance baseline
  int n_shuffles = 9999;  ///< of the labels
  LoadBalance load_balance = LoadBalance::distinct;
  std::uint64_t seed = 0;
  int n_threads = 1;  ///< does not change the result
  /// The draws whose standard deviation over pairs is computed, which costs far more than their
  /// mean when there are many prompts; 0: all, or for many prompts as many as take about 2·10¹⁰
  /// multiplications, but at least four.
  int n_std_draws = 0;
  const std::atomic<bool>* stop = nullptr;  ///< once true, the work ends with Error (interrupted)
};

/// Similarities of the pairs of simulated prompts. Undefined without a pair.
struct SimulatedSimilarity {
  double mean = undefined;      ///< over pairs and draws
  double std = undefined;       ///< sample standard deviation over pairs, averaged over draws
  double draw_std = undefined;  ///< sample standard deviation of the draws' means
};

struct PermutationBaseline {
  SimulatedSimilarity within;
  SimulatedSimilarity across;
  SimulatedSimilarity all;      ///< over the pairs of both kinds
  double expected = undefined;  ///< of `all`; see expected_permuted_similarity
};

struct LoadBalanceBaseline {
  SimulatedSimilarity all;
  double expected = undefined;  ///< see expected_uniform_similarity
};

/// On the compared prompts; undefined where these cannot be compared.
struct LabelShuffle {
  double gap = undefined;      ///< mean within − mean across, as observed
  double p_value = undefined;  ///< (1 + shuffles with at least this gap) / (1 + shuffles)
  std::int64_t n_draws = 0;
};

struct BaselinesResult {
  PairStatistics within;  ///< as observed
  PairStatistics across;
  PermutationBaseline permutation;
  LoadBalanceBaseline load_balance;
  LabelShuffle label_shuffle;
  /// "within", "across", "permutation" and "load_balance" from least to most similar; a name whose
  /// mean is undefined is missing.
  std::vector<std::string> ordering;
  /// The same names, those whose means are equal within rounding (similarity_rounding) in one
  /// group.
  std::vector<std::vector<std::string>> ordering_groups;
  int n_draws = 0;
  int n_std_draws = 0;  ///< of which the standard deviation over pairs comes
  std::vector<std::string> notices;
};

/// What similarity is to be compared with (the paper's section 4.5).
///
/// *Permutation*: the values of every prompt and layer are permuted among the experts, each
/// independently. *Load balance*: for every token and layer k experts are drawn uniformly, so that
/// each prompt keeps its numbers of tokens. *Label shuffle*: the categories are permuted over the
/// compared prompts. A draw depends on the seed, its number and the prompts' ids, not on the order
/// of the prompts. Weighted signatures: the permutation moves the sums of weights, the load balance
/// counts drawn experts.
/// @throws Error (data) naming prompts without a category; Error (interrupted).
BaselinesResult baselines(const Signatures& signatures, const ComparedPrompts& compared,
                          const BaselineOptions& options);

}  // namespace moexray::stats
