#include "moexray/stats/layers.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "moexray/stats/ties.h"
#include "pair_means.h"

namespace moexray::stats {
namespace {

// "Cohen's d is undefined at layers 0, 3: …"
void tell_undefined(LayersResult& result) {
  if (result.layers[0].within.n_pairs == 0 || result.layers[0].across.n_pairs == 0) return;
  std::string names;
  int n = 0;
  for (std::size_t layer = 0; layer < result.layers.size(); ++layer) {
    if (!std::isnan(result.layers[layer].cohens_d)) continue;
    names += (n++ > 0 ? ", " : "") + std::to_string(layer);
  }
  if (n == 0) return;
  result.notices.push_back("Cohen's d is undefined at layer" + std::string(n > 1 ? "s " : " ") +
                           names + ": too few pairs or no spread among them");
}

void find_peak(LayersResult& result) {
  double largest = -std::numeric_limits<double>::infinity();
  for (const LayerSeparation& layer : result.layers) {
    if (!std::isnan(layer.cohens_d)) largest = std::max(largest, layer.cohens_d);
  }
  for (std::size_t layer = 0; layer < result.layers.size(); ++layer) {
    // False where d is undefined.
    if (equal_within_rounding(result.layers[layer].cohens_d, largest, effect_rounding)) {
      result.peak_layers.push_back(static_cast<int>(layer));
    }
  }
  if (!result.peak_layers.empty()) result.peak_layer = result.peak_layers.front();
}

}  // namespace

LayersResult layer_separation(const Signatures& signatures) {
  const CategoryIndex categories = index_categories(signatures);
  const Eigen::Index n_experts = signatures.shape.n_experts;
  LayersResult result;
  for (int layer = 0; layer < signatures.shape.n_layers; ++layer) {
    Matrix block = signatures.values.middleCols(layer * n_experts, n_experts);
    block.rowwise().normalize();
    const WithinAcross pairs = pair_statistics(block, categories);
    const double d = cohens_d(pairs.within, pairs.across);
    result.layers.push_back(
        {pairs.within, pairs.across, d,
         expected_uniform_by_kind(signatures, categories, LoadBalance::distinct, layer)});
  }
  find_peak(result);
  result.notices = category_notices(categories);
  tell_undefined(result);
  return result;
}

}  // namespace moexray::stats
