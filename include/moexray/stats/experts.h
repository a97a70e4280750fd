#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

struct ExpertOptions {
  double underused = 0.2;  ///< of the uniform share 1/E: an expert used at all, but below this
  double overloaded = 4;   ///< times the uniform share: an expert above this
  bool weighted = false;   ///< the signatures hold sums of router weights: counts are not integers
};

/// One expert of one layer, over all prompts.
struct ExpertUse {
  int layer = 0;
  int expert = 0;
  double count = 0;
  double share = 0;                       ///< of the layer's selections
  double share_over_uniform = undefined;  ///< share · E
};

/// How evenly a layer uses its experts, over all prompts.
struct LayerLoad {
  double count = 0;            ///< Σ_e count
  double entropy = undefined;  ///< −Σ share·ln share / ln E: 1 if even, 0 if one expert has all;
                               ///< undefined for E = 1
  double load_cv = 0;          ///< population standard deviation of the shares over their mean
  ExpertUse busiest;           ///< the lowest of several
  int n_unused = 0;
  int n_underused = 0;  ///< unused ones not included
  int n_overloaded = 0;
  bool collapsed = false;  ///< half of the experts or more are unused or underused; false if there
                           ///< are too few tokens to tell
};

struct ExpertsResult {
  double overloaded_above = undefined;  ///< ExpertOptions::overloaded, as used
  Matrix counts;                        ///< [L, E] over all prompts
  std::vector<std::string> categories;  ///< [K] alphabetical; empty name: prompts without one
  std::vector<Matrix> category_counts;  ///< [K] of [L, E]; they add up to `counts`
  std::vector<LayerLoad> layers;        ///< [L]
  std::vector<ExpertUse> unused;        ///< by layer and expert
  std::vector<ExpertUse> underused;     ///< by layer and expert
  std::vector<ExpertUse> overloaded;    ///< most used first
  /// Fewer than five selections an expert: some may be unused by chance.
  bool too_few_tokens = false;
  std::vector<std::string> notices;
};

/// How often every expert was selected (weighted: the sum of its router weights) by all prompts and
/// by those of each category, and which experts routing has collapsed away from or overloads.
/// Categories are not needed.
ExpertsResult expert_usage(const Signatures& signatures, const ExpertOptions& options);

/// Each row over its sum: the shares of a layer's experts. A row of zeros stays.
Matrix expert_shares(const Matrix& counts);

}  // namespace moexray::stats
