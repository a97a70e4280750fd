#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/stats/signatures.h"

namespace moexray::stats {

/// Deals the prompts of every category out to folds in a random order, so that folds differ by at
/// most one in their members of a category and in size.
///
/// A prompt's place in the order is drawn from the seed and its id alone: neither the order of the
/// prompts nor their distribution over shards changes the folds.
/// @return [n] fold of each prompt, 0 … n_folds − 1
/// @throws Error (data) if a category has fewer prompts than there are folds (named, with its
/// count);
///         Error (usage) if n_folds < 2.
std::vector<int> stratified_folds(std::span<const std::string> ids, const CategoryIndex& categories,
                                  int n_folds, std::uint64_t seed);

}  // namespace moexray::stats
