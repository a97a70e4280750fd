#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/stats/signatures.h"
#include "moexray/stats/units.h"

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

/// Folds that never tear a unit apart. Where every prompt is a unit these are stratified_folds.
/// Otherwise the units are dealt out one by one, the largest first, those of one size in a random
/// order that depends on the seed and their names alone, each to the fold that keeps the folds most
/// alike in their share of every category: to the one with the smallest Σ_c (members of c / all of
/// c)², then the fewest prompts.
/// @return [n] fold of each prompt, 0 … n_folds − 1
/// @throws Error (data) if a category lies in fewer units than there are folds (named, with its
///         count); Error (usage) if n_folds < 2.
std::vector<int> grouped_folds(std::span<const std::string> ids, const CategoryIndex& categories,
                               const Units& units, int n_folds, std::uint64_t seed);

/// One random relabelling under the null hypothesis that leaves every fold the labels it has, so
/// that the folds remain as stratified as they were: a subgroup of the exchanges of
/// permuted_labels, and as exact a test. Categories are exchanged between the units of a fold, or,
/// where units hold several, between the prompts of a unit.
/// @return [n] category of each prompt
std::vector<int> labels_permuted_within_folds(const Units& units, const CategoryIndex& categories,
                                              std::span<const int> folds, RandomStream& random);

}  // namespace moexray::stats
