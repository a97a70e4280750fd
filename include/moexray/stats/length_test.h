#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moexray/stats/permutation_tests.h"

namespace moexray::stats {

/// How long the prompts of every category are, and whether that goes with the category.
struct LengthTest {
  std::vector<double> mean_tokens;  ///< [K]
  /// F of ln(1 + tokens), one-way analysis of variance. Undefined for one category, n = K, or
  /// prompts that are all equally long.
  PermutationTest f;
};

/// Do categories differ in the numbers of tokens of their prompts? Where they do, whatever depends
/// on the number of tokens (a similarity does, through its noise and through positions) differs
/// between categories too, whatever their prompts are about. Relabellings are those of the other
/// tests.
/// @param n_tokens [n]
/// @throws Error (interrupted)
LengthTest test_lengths(std::span<const std::int64_t> n_tokens, const CategoryIndex& categories,
                        const Units& units, const PermutationOptions& options);

}  // namespace moexray::stats
