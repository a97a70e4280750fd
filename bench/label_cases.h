#pragma once

// What the tests of labels that look at whole signatures say of routing whose truth is known: for
// bench/expert_calibration and its short form among the tests.

#include <algorithm>
#include <array>
#include <cstdint>

#include "expert_cases.h"
#include "moexray/stats/baselines.h"
#include "moexray/stats/compared_prompts.h"
#include "moexray/stats/information.h"
#include "moexray/stats/permutation_tests.h"
#include "moexray/stats/similarity.h"
#include "moexray/stats/units.h"

namespace moexray::bench {

/// The tests, and the gap over all tokens, which nobody should use where lengths differ.
enum LabelTest { gap, permanova, permdisp, any_layer, label_shuffle, any_expert, gap_of_all };
inline constexpr std::size_t n_label_tests = 7;
inline constexpr std::array<const char*, n_label_tests> label_test_names{
    "gap", "PERMANOVA", "PERMDISP", "a layer", "shuffle", "bits", "gap, all"};

struct LabelOutcome {
  bool tested = false;
  std::array<bool, n_label_tests> found{};  ///< p ≤ 0.05
};

/// @param with_bits also the experts of `information`, by far the slowest
inline LabelOutcome label_outcome(const stats::Signatures& signatures,
                                  const stats::RoutedTokens& tokens, int n_permutations,
                                  std::uint64_t seed, bool with_bits) {
  const stats::PermutationOptions options{.n_permutations = n_permutations, .seed = seed};
  const auto gap_p = [&](const stats::Signatures& s) {
    const stats::CategoryIndex categories = stats::index_categories(s);
    return stats::test_location(stats::unit_blocks(s), categories,
                                stats::make_units(s.ids, categories), options);
  };
  const auto compared = stats::compared_prompts(tokens, signatures, {}, stats::TokenSelection::all);
  LabelOutcome outcome;
  outcome.tested = compared.comparable();
  if (!outcome.tested) return outcome;
  const stats::Signatures& s = compared.signatures;
  const stats::CategoryIndex& categories = compared.categories;
  const stats::Units& units = compared.units;
  const auto says = [](double p) { return p <= 0.05; };
  const stats::LocationTests location = gap_p(s);
  outcome.found[gap] = says(location.gap.p_value);
  outcome.found[permanova] = says(location.permanova.p_value);
  outcome.found[permdisp] =
      says(stats::test_dispersion(stats::pair_similarity(stats::unit_blocks(s)), categories, units,
                                  options)
               .f.p_value);
  outcome.found[any_layer] =
      std::ranges::any_of(stats::test_layers(s, categories, units, options),
                          [&](const stats::LayerTest& layer) { return says(layer.p_adjusted); });
  outcome.found[label_shuffle] =
      says(stats::baselines(signatures, compared,
                            {.n_draws = 1, .n_shuffles = n_permutations, .seed = seed})
               .label_shuffle.p_value);
  if (with_bits) {
    // Max-T: few permutations do.
    const auto bits = stats::information(
        signatures, compared, {.n_repetitions = 0, .n_permutations = n_permutations, .seed = seed});
    outcome.found[any_expert] =
        std::ranges::any_of(bits.experts, [&](const auto& row) { return says(row.q_value); });
  }
  outcome.found[gap_of_all] = says(gap_p(signatures).gap.p_value);
  return outcome;
}

}  // namespace moexray::bench
