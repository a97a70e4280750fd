#include "nested_repetitions.h"

#include <algorithm>

#include "moexray/core/random.h"
#include "moexray/stats/folds.h"
#include "parallel.h"

namespace moexray::stats {
namespace {

// Multiplications of a split: its coordinates, and the fits for all penalties.
struct SplitOperations {
  double coordinates = 0;
  double fits = 0;
};

SplitOperations split_operations(const Signatures& signatures, int n_folds, int n_left_out) {
  constexpr double n_iterations = 30;  // of a fit, about
  const auto d = static_cast<double>(signatures.values.cols());
  const auto n = static_cast<double>(signatures.size());
  const double n_train = n * (n_folds - n_left_out) / n_folds;
  const auto k = static_cast<double>(index_categories(signatures).names.size());
  // Inner products and their principal axes; with fewer features than rows these are used as they
  // are.
  const double coordinates =
      d > n_train ? n * n_train * d + 9 * n_train * n_train * n_train : n * d;
  const double fit = n_iterations * 2 * n_train * std::min(n_train, d) * k;
  return {coordinates, fit * static_cast<double>(shared_grid.size())};
}

}  // namespace

std::vector<std::vector<NestedLosses>> nested_repetitions(
    const NestedDesign& design, const RepetitionFeatures& features, const PipelineOptions& options,
    std::span<double (*const)(const Eigen::RowVectorXd&, int)> losses) {
  std::vector<std::vector<NestedLosses>> result(
      losses.size(), std::vector<NestedLosses>(static_cast<std::size_t>(design.n_repetitions)));
  const auto& labels = design.categories.of_prompt;
  parallel_for(design.n_repetitions, design.n_threads, [&](int r) {
    throw_if_stopped(design.work.stop);
    const std::uint64_t seed = RandomStream(design.seed, "repetition " + std::to_string(r))();
    const std::vector<int> folds =
        grouped_folds(design.ids, design.categories, design.units, design.n_folds, seed);
    const FeatureMaker maker = features(r);
    FoldModels models(maker, labels, static_cast<int>(design.categories.names.size()), folds,
                      design.n_folds, options);
    std::vector<NestedLosses> own = nested_losses(models, labels, folds, design.n_folds, losses);
    for (std::size_t l = 0; l < losses.size(); ++l) {
      result[l][static_cast<std::size_t>(r)] = std::move(own[l]);
    }
    if (design.work.on_steps) design.work.on_steps(1);
  });
  return result;
}

double repetition_operations(const Signatures& signatures, int n_folds) {
  // One fold, two or three are left out.
  const double k = n_folds;
  const double n_splits = k + k * (k - 1) / 2 + k * (k - 1) * (k - 2) / 6;
  const SplitOperations split = split_operations(signatures, n_folds, 2);
  return n_splits * (split.coordinates + split.fits);
}

double labelling_operations(const Signatures& signatures, int n_folds) {
  // Labellings share the coordinates; one penalty is fitted without one fold, all without two.
  const double k = n_folds;
  return k * (k + 1) / 2 * split_operations(signatures, n_folds, 2).fits;
}

bool allows_nesting(int n_folds, const PipelineOptions& options) {
  const bool chooses = options.grid.size() > 1 || options.calibrate;
  return n_folds >= (chooses ? 4 : 3) && n_folds <= max_nested_folds;
}

}  // namespace moexray::stats
