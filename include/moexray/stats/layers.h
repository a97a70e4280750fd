#pragma once

#include <string>
#include <vector>

#include "moexray/stats/signatures.h"
#include "moexray/stats/similarity.h"
#include "moexray/stats/uniform_null.h"

namespace moexray::stats {

/// Pair statistics of the cosine at one layer.
struct LayerSeparation {
  PairStatistics within;
  PairStatistics across;
  double cohens_d = undefined;  ///< see cohens_d()
  ExpectedSimilarity uniform;   ///< what uniform routing of as many tokens would give these pairs
};

struct LayersResult {
  std::vector<LayerSeparation> layers;  ///< [L]
  int peak_layer = -1;  ///< of the largest d, the lowest one of several; −1: d is defined nowhere
  std::vector<int> peak_layers;  ///< all whose d is the largest within rounding (effect_rounding)
  std::vector<std::string> notices;
};

/// How well each layer's routing separates the categories: the similarity cos(s_a^(ℓ), s_b^(ℓ))
/// within and across categories at layer ℓ alone, and its Cohen's d (the paper's section 5.3).
/// @throws Error (data) naming prompts without a category.
LayersResult layer_separation(const Signatures& signatures);

}  // namespace moexray::stats
