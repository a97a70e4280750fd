#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/stats/bootstrap.h"
#include "moexray/stats/compared_prompts.h"
#include "moexray/stats/length_test.h"
#include "moexray/stats/near_duplicates.h"
#include "moexray/stats/noise_corrected.h"
#include "moexray/stats/permutation_tests.h"
#include "moexray/stats/popularity_null.h"
#include "moexray/stats/rarefaction.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/uniform_null.h"

namespace moexray::stats {

struct InferenceOptions {
  int n_resamples = 10'000;            ///< of the bootstrap
  int n_permutations = 9999;           ///< of the gap, PERMANOVA, PERMDISP and the layers
  int n_null_draws = 100;              ///< of the popularity null
  int n_rarefactions = 20;             ///< draws at equal numbers of tokens
  std::int64_t n_rarefied_tokens = 0;  ///< 0: as many as the shortest prompt has
  std::uint64_t seed = 0;
  int n_threads = 1;                        ///< does not change the result
  const std::atomic<bool>* stop = nullptr;  ///< once true, the work ends with Error (interrupted)
};

/// The options with fewer draws where there are many prompts: of what costs c operations a draw as
/// many as 4·10⁹ operations allow, at most what is asked for, at least 199 (nulls and rarefaction:
/// at least 4). Up to about 1,000 prompts nothing changes.
InferenceOptions affordable(const InferenceOptions& options, const Signatures& signatures);

struct InferenceInput {
  const Signatures& signatures;
  const RoutedTokens& tokens;           ///< of the same prompts
  const ComparedPrompts& compared;      ///< what the tests of labels look at
  std::span<const std::string> groups;  ///< [n], or empty: every prompt is a unit
  std::span<const std::string> texts;   ///< [n]
};

struct InferenceResult {
  std::size_t n_units = 0;
  bool grouped = false;
  bool nested = true;  ///< every unit lies in one category
  BootstrapResult bootstrap;

  // Tests of labels, on the compared prompts; undefined where these cannot be compared.
  CommonPositions positions;
  ComparabilityCheck check;
  double smallest_p_value = undefined;  ///< that relabelling can give
  LocationTests location;
  DispersionTest dispersion;
  /// False if PERMANOVA's p-value is no evidence of a difference in location: sizes are unequal and
  /// PERMDISP finds a difference in spread.
  bool permanova_is_location = true;
  std::vector<LayerTest> layers;  ///< [L]
  int n_layer_draws = 0;

  bool has_tokens = true;      ///< false: of counts alone, without all that draws single tokens
  LengthTest lengths;          ///< do categories differ in the numbers of tokens of their prompts?
  ExpectedSimilarity uniform;  ///< closed form, distinct experts
  PopularityNull popularity;
  NoiseCorrectedResult noise_corrected;
  RarefactionResult rarefied;
  NearDuplicates near_duplicates;
  std::vector<std::string> notices;  ///< what the data do not support, and what to mind
};

/// Everything that says how far the similarity within and across categories can be trusted:
/// estimates and intervals over all selected tokens, tests of labels on the compared prompts.
/// Holds the similarities of all pairs: up to 10,000 prompts.
/// @throws Error (data) naming prompts without a category, or for more prompts; Error
/// (interrupted).
InferenceResult inference(const InferenceInput& input, const InferenceOptions& options);

}  // namespace moexray::stats
