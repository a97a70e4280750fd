#include "moexray/stats/layer_inference.h"

#include <algorithm>
#include <cmath>

#include "moexray/stats/inference.h"
#include "moexray/stats/similarity.h"

namespace moexray::stats {
namespace {

constexpr std::size_t max_tested_prompts = 5000;  // 200 MB for the pairs of one layer
constexpr int fewest_resamples = 199;

int affordable_resamples(const Signatures& signatures, int asked) {
  constexpr double budget = 4e9;
  const auto n = static_cast<double>(signatures.size());
  const double cost = 4 * n * n * signatures.shape.n_layers;
  return static_cast<int>(std::min<double>(asked, budget / cost));
}

Matrix layer_similarity(const Signatures& signatures, int layer) {
  const Eigen::Index n_experts = signatures.shape.n_experts;
  Matrix block = signatures.values.middleCols(layer * n_experts, n_experts);
  block.rowwise().normalize();
  return pair_similarity(block);
}

void test_layers(const ComparedPrompts& compared, const LayerInferenceOptions& options,
                 LayerInference& result) {
  if (!compared.comparable()) {
    result.tests_left_out = compared.check.reason;
    return;
  }
  const Signatures& signatures = compared.signatures;
  InferenceOptions asked;
  asked.n_permutations = options.n_permutations;
  result.n_permutations = affordable(asked, signatures).n_permutations;
  result.tests = test_layers(signatures, compared.categories, compared.units,
                             {.n_permutations = result.n_permutations,
                              .seed = options.seed,
                              .n_threads = options.n_threads,
                              .stop = options.stop});
  const bool has_p = std::any_of(result.tests.begin(), result.tests.end(),
                                 [](const auto& test) { return !std::isnan(test.p_adjusted); });
  if (!has_p) result.tests_left_out = "relabelling the prompts cannot tell a difference";
}

}  // namespace

LayerInference infer_layers(const Signatures& signatures, const ComparedPrompts& compared,
                            std::span<const std::string> groups,
                            const LayerInferenceOptions& options) {
  LayerInference result;
  if (signatures.size() > max_tested_prompts) {
    result.tests_left_out = result.intervals_left_out = "too many prompts";
    return result;
  }
  const CategoryIndex categories = index_categories(signatures);
  const Units units = make_units(signatures.ids, categories, groups);
  test_layers(compared, options, result);
  result.n_resamples = affordable_resamples(signatures, options.n_resamples);
  if (result.n_resamples < std::min(fewest_resamples, options.n_resamples)) {
    result.n_resamples = 0;
    result.intervals_left_out = "too many prompts";
    return result;
  }
  for (int layer = 0; layer < signatures.shape.n_layers; ++layer) {
    result.intervals.push_back(bootstrap(layer_similarity(signatures, layer), categories, units,
                                         {.n_resamples = result.n_resamples,
                                          .seed = options.seed,
                                          .n_threads = options.n_threads,
                                          .stop = options.stop})
                                   .cohens_d);
  }
  const auto has_interval = [](const IntervalEstimate& d) { return d.has_interval(); };
  if (std::none_of(result.intervals.begin(), result.intervals.end(), has_interval)) {
    result.intervals_left_out = result.intervals[0].reason;
  }
  return result;
}

}  // namespace moexray::stats
