#include "permuted_accuracy.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "moexray/core/error.h"
#include "moexray/core/random.h"
#include "moexray/stats/folds.h"
#include "pair_means.h"
#include "parallel.h"
#include "relabelling.h"

namespace moexray::stats {

std::vector<int> compared_folds(const ComparedPrompts& compared, int n_folds, std::uint64_t seed,
                                std::string& reason) {
  reason = compared.check.reason;
  if (!compared.comparable()) return {};
  try {
    return grouped_folds(compared.signatures.ids, compared.categories, compared.units, n_folds,
                         seed);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    reason = error.what();
    return {};
  }
}

double share_correct(const std::vector<int>& predicted, const std::vector<int>& labels) {
  double n = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) n += predicted[i] == labels[i];
  return n / static_cast<double>(labels.size());
}

PermutedAccuracy permuted_accuracy(const FeatureMaker& features, const PipelineOptions& pipeline,
                                   const AccuracyPermutations& p) {
  const auto n_classes = static_cast<int>(p.categories.names.size());
  const CoordinateStore shared =
      shared_coordinates(features, p.folds, p.n_folds, pipeline, p.n_threads);
  const auto accuracy = [&](const std::vector<int>& labels) {
    FoldModels models(features, labels, n_classes, p.folds, p.n_folds, pipeline, &shared);
    return share_correct(held_out_classes(models, labels.size(), p.n_folds), labels);
  };
  PermutedAccuracy result;
  result.accuracy = accuracy(p.categories.of_prompt);
  result.null.resize(static_cast<std::size_t>(p.n_draws));
  parallel_for(p.n_draws, p.n_threads, [&](int draw) {
    throw_if_stopped(p.work.stop);
    RandomStream random(p.seed, p.stream + " " + std::to_string(draw));
    result.null[static_cast<std::size_t>(draw)] =
        accuracy(labels_permuted_within_folds(p.units, p.categories, p.folds, random));
    if (p.work.on_steps) p.work.on_steps(1);
  });
  constexpr double rounding = 1e-9;
  const auto n_reached = std::count_if(result.null.begin(), result.null.end(), [&](double value) {
    return value >= result.accuracy - rounding;
  });
  const auto n = static_cast<double>(p.n_draws);
  result.p_value = permutation_p_value(n_reached, p.n_draws);
  result.chance = std::accumulate(result.null.begin(), result.null.end(), 0.0) / n;
  double squares = 0;
  for (const double value : result.null) squares += std::pow(value - result.chance, 2);
  result.null_std = std::sqrt(squares / std::max(n - 1, 1.0));
  std::sort(result.null.begin(), result.null.end());
  return result;
}

}  // namespace moexray::stats
