#include "nested_repetitions.h"

#include "moexray/core/random.h"
#include "moexray/stats/folds.h"
#include "parallel.h"

namespace moexray::stats {

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

bool allows_nesting(int n_folds, const PipelineOptions& options) {
  const bool chooses = options.grid.size() > 1 || options.calibrate;
  return n_folds >= (chooses ? 4 : 3) && n_folds <= max_nested_folds;
}

}  // namespace moexray::stats
