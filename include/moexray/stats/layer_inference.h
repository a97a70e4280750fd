#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/stats/bootstrap.h"
#include "moexray/stats/compared_prompts.h"
#include "moexray/stats/permutation_tests.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

struct LayerInferenceOptions {
  int n_permutations = 9999;
  int n_resamples = 999;
  std::uint64_t seed = 0;
  int n_threads = 1;                        ///< does not change the result
  const std::atomic<bool>* stop = nullptr;  ///< once true, the work ends with Error (interrupted)
};

/// How far the separation at each layer can be trusted.
struct LayerInference {
  std::vector<LayerTest> tests;             ///< [L], or empty
  std::vector<IntervalEstimate> intervals;  ///< [L] of Cohen's d, or empty
  int n_permutations = 0;
  int n_resamples = 0;
  std::string tests_left_out;      ///< why there are no tests; empty with them
  std::string intervals_left_out;  ///< why there are no intervals; empty with them
};

/// test_layers() on the compared prompts, and bootstrap() of each layer's similarities over all
/// tokens. What many prompts cost is
/// decided by sizes: fewer relabellings as in affordable(), as many resamples as 4·10⁹
/// multiplications allow or, where that is below 199, no intervals; nothing above 5,000 prompts.
/// @param groups [n], or empty: every prompt is a unit
/// @throws Error (data) naming prompts without a category; Error (interrupted)
LayerInference infer_layers(const Signatures& signatures, const ComparedPrompts& compared,
                            std::span<const std::string> groups,
                            const LayerInferenceOptions& options);

}  // namespace moexray::stats
