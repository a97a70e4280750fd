#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fold_models.h"
#include "moexray/stats/compared_prompts.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/units.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

/// Whose labels are permuted, and how often.
struct AccuracyPermutations {
  const CategoryIndex& categories;
  const Units& units;
  std::span<const int> folds;  ///< [n], the same for all labellings
  int n_folds = 5;
  int n_draws = 199;
  std::uint64_t seed = 0;
  std::string stream;  ///< the name of the random numbers
  int n_threads = 1;   ///< does not change the result
  Work work = {};      ///< a step is a draw
};

/// The folds of the compared prompts; none, and why in `reason`, where they cannot be compared or
/// divided.
std::vector<int> compared_folds(const ComparedPrompts& compared, int n_folds, std::uint64_t seed,
                                std::string& reason);

/// What options that have n_folds, n_permutations, seed, n_threads and work ask for.
template <typename Options>
AccuracyPermutations asked_permutations(const ComparedPrompts& compared, std::span<const int> folds,
                                        const Options& options, std::string stream) {
  return {.categories = compared.categories,
          .units = compared.units,
          .folds = folds,
          .n_folds = options.n_folds,
          .n_draws = options.n_permutations,
          .seed = options.seed,
          .stream = std::move(stream),
          .n_threads = options.n_threads,
          .work = options.work};
}

/// The accuracy of held-out predictions, and what the whole pipeline reaches with labels that were
/// permuted within folds.
struct PermutedAccuracy {
  double accuracy = undefined;
  std::vector<double> null;     ///< [n_draws] ascending
  double chance = undefined;    ///< mean of `null`
  double null_std = undefined;  ///< sample standard deviation of `null`
  double p_value = undefined;   ///< (1 + draws that reach the accuracy) / (1 + n_draws)
};

/// The share of held-out predictions that are right.
double share_correct(const std::vector<int>& predicted, const std::vector<int>& labels);

/// @throws Error (interrupted)
PermutedAccuracy permuted_accuracy(const FeatureMaker& features, const PipelineOptions& pipeline,
                                   const AccuracyPermutations& permutations);

}  // namespace moexray::stats
