#include "moexray/stats/accuracy_test.h"

#include <algorithm>

#include "feature_sets.h"
#include "nested_repetitions.h"
#include "permuted_accuracy.h"

namespace moexray::stats {

AccuracyTest test_accuracy(const ComparedPrompts& compared, const AccuracyTestOptions& options) {
  AccuracyTest result;
  if (options.n_permutations == 0 && compared.comparable()) {
    result.left_out = "no permutations";
    return result;
  }
  const std::vector<int> folds =
      compared_folds(compared, options.n_folds, options.seed, result.left_out);
  if (folds.empty()) return result;
  PipelineOptions pipeline;
  pipeline.grid = {options.c};
  if (options.n_folds > max_nested_folds) {
    result.left_out = "more than " + std::to_string(max_nested_folds) + " folds";
    return result;
  }
  const PermutedAccuracy found =
      permuted_accuracy(signature_features(compared.signatures), pipeline,
                        asked_permutations(compared, folds, options, "accuracy permutation"));
  result.accuracy = found.accuracy;
  result.chance = found.chance;
  result.p_value = found.p_value;
  result.n_permutations = options.n_permutations;
  return result;
}

AccuracyTestOptions affordable(const AccuracyTestOptions& options, const Signatures& signatures) {
  constexpr double budget = 1e10;
  constexpr int fewest = 99;
  AccuracyTestOptions result = options;
  // labelling_operations() counts models that leave out two folds as well, which this has not.
  const double operations =
      labelling_operations(signatures, options.n_folds) / (options.n_folds + 1) * 2;
  const double possible = budget / operations;
  result.n_permutations = static_cast<int>(std::min<double>(options.n_permutations, possible));
  if (result.n_permutations < std::min(fewest, options.n_permutations)) result.n_permutations = 0;
  return result;
}

}  // namespace moexray::stats
