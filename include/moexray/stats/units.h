#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

/// What inference treats as independent of each other: prompts, or groups of prompts (those of one
/// template or one source). Folds, the bootstrap and permutations never tear a unit apart.
struct Units {
  std::vector<int> of_prompt;      ///< [n] which unit a prompt belongs to, 0 … size() − 1
  std::vector<std::string> names;  ///< [units] the group, or the id of a prompt that stands alone
  std::vector<std::vector<std::size_t>> members;  ///< [units] rows, ascending
  /// [units] the category all members have, or −1: they have several.
  std::vector<int> category;
  bool grouped = false;  ///< false: every prompt is a unit

  std::size_t size() const { return members.size(); }
  /// True if every unit lies in one category: labels are then exchanged between units.
  bool nested() const;
};

/// Units in alphabetical order of their names, so that nothing depends on the order of prompts.
/// @param groups [n] empty where a prompt belongs to no group: it is a unit by itself. An empty
///        span: every prompt is a unit.
Units make_units(std::span<const std::string> ids, const CategoryIndex& categories,
                 std::span<const std::string> groups = {});

/// The same of prompts whose categories do not matter.
Units units_without_categories(std::span<const std::string> ids,
                               std::span<const std::string> groups = {});

/// "fewer than 10 prompts", or groups where these are the units.
std::string fewer_than(std::size_t least, const Units& units);

/// One random relabelling of the prompts under the null hypothesis that routing does not depend on
/// the category. Where every unit lies in one category, the categories are permuted over units (of
/// equal or unequal size: the number of prompts a category has may change). Otherwise they are
/// permuted among the prompts of each unit, which keeps what units do to the routing.
/// @return [n] category of each prompt
std::vector<int> permuted_labels(const Units& units, const CategoryIndex& categories,
                                 RandomStream& random);

}  // namespace moexray::stats
