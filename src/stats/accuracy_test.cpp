#include "moexray/stats/accuracy_test.h"

#include <algorithm>

#include "feature_sets.h"
#include "moexray/core/error.h"
#include "moexray/stats/folds.h"
#include "nested_repetitions.h"
#include "permuted_accuracy.h"

namespace moexray::stats {

AccuracyTest test_accuracy(const ComparedPrompts& compared, const AccuracyTestOptions& options) {
  AccuracyTest result;
  if (!compared.comparable()) {
    result.left_out = compared.check.reason;
    return result;
  }
  if (options.n_permutations == 0) {
    result.left_out = "no permutations";
    return result;
  }
  const Signatures& signatures = compared.signatures;
  std::vector<int> folds;
  try {
    folds = grouped_folds(signatures.ids, compared.categories, compared.units, options.n_folds,
                          options.seed);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    result.left_out = error.what();
    return result;
  }
  PipelineOptions pipeline;
  pipeline.grid = {options.c};
  if (options.n_folds > max_nested_folds) {
    result.left_out = "more than " + std::to_string(max_nested_folds) + " folds";
    return result;
  }
  const FeatureMaker features = signature_features(signatures);
  const PermutedAccuracy found = permuted_accuracy(features, pipeline,
                                                   {.categories = compared.categories,
                                                    .units = compared.units,
                                                    .folds = folds,
                                                    .n_folds = options.n_folds,
                                                    .n_draws = options.n_permutations,
                                                    .seed = options.seed,
                                                    .stream = "accuracy permutation",
                                                    .n_threads = options.n_threads,
                                                    .work = options.work});
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
