#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "moexray/stats/common_positions.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/units.h"

namespace moexray::stats {

/// What every test of labels looks at: the prompts that have the common positions, and their
/// routing there. A test of signatures over all tokens rejects where categories differ in nothing
/// but the lengths of their prompts; on equal positions it holds its level (docs/statistics.md).
struct ComparedPrompts {
  CommonPositions positions;
  ComparabilityCheck check;
  std::size_t n_prompts = 0;             ///< in all, those that are left out included
  Signatures signatures = {};            ///< at the positions; without rows unless comparable
  std::vector<std::string> groups = {};  ///< [rows], or empty: every prompt is a unit
  CategoryIndex categories = {};         ///< of these rows
  Units units = {};                      ///< likewise

  bool comparable() const { return check.comparable(); }
  /// "first 12 prompt tokens", with "of 76 of 80 prompts" behind it where some are shorter.
  std::string text() const;
};

/// Chooses the positions by common_positions() and takes the signatures there. Unlike for single
/// experts, a category may have fewer than `min_units` units if it keeps all of them: how small
/// p-values can get tells what that means.
/// @param groups [n], or empty
/// @param tokens what the estimates count, which decides the part that is compared
ComparedPrompts compared_prompts(const RoutedTokens& routed, const Signatures& signatures,
                                 std::span<const std::string> groups, TokenSelection tokens,
                                 CommonPositionsOptions options = {});

/// Whole prompts, whatever their lengths: where lengths are known not to matter, and for whoever
/// wants to see what they do.
ComparedPrompts whole_prompts(const Signatures& signatures, std::span<const std::string> groups);

/// Whole prompts of which there are only counts: comparable if all have the same number of tokens,
/// since without positions nobody can cut them to what they have in common.
ComparedPrompts counted_prompts(const Signatures& signatures, std::span<const std::string> groups);

}  // namespace moexray::stats
