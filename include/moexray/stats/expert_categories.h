#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/stats/common_positions.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/rates.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

struct ExpertCategoriesOptions {
  std::int64_t n_permutations = 0;  ///< 0: by sizes alone, see default_permutations()
  CommonPositionsOptions positions = {};
  TokenSelection tokens = TokenSelection::all;  ///< what the rates count; see compared_part()
  double level = 0.05;                          ///< of claims and of lists
  std::uint64_t seed = 0;
  int n_threads = 1;  ///< does not change the result
  Work work = {};     ///< expert_categories_steps() steps
};

/// One expert and one category: how much the category uses it, and whether others differ.
struct ExpertCell {
  int layer = 0;
  int expert = 0;
  int category = 0;         ///< into ExpertCategoriesResult::categories
  double rate = undefined;  ///< share of the category's selected tokens that select the expert
  std::array<double, 2> ci95 = {undefined, undefined};  ///< of the rate; units are the clusters
  double rate_others = undefined;                       ///< the same of all other categories
  /// rate / rate_others; with half a selection added to the counts of both where one is 0,
  /// undefined where both are.
  double ratio = undefined;
  double log2_ratio = undefined;

  // On the common positions; undefined if nothing was tested.
  double t = undefined;           ///< of the category against all others
  double p_value = undefined;     ///< share of the relabelled |t| of all cells that reach |t|
  double p_adjusted = undefined;  ///< max-T over all cells: for claims
  double q_value = undefined;     ///< Benjamini–Hochberg over all cells: for lists
  bool significant = false;       ///< p_adjusted ≤ level

  /// True if the category uses the expert more than others: on the common positions and over all
  /// selected tokens.
  bool is_more() const { return t > 0 && ratio > 1; }
};

/// The cells of one category that a reader is told of: indices into `cells`.
struct CategoryExperts {
  std::vector<std::size_t> more;  ///< significant and is_more(), the largest t first
  std::vector<std::size_t> less;  ///< significant with t < 0, the smallest t first
};

struct ExpertCategoriesResult {
  RoutingShape shape;
  std::vector<std::string> categories;  ///< [K] alphabetical
  std::vector<ExpertCell> cells;        ///< [L, E, K]: at (layer · E + expert) · K + category
  CommonPositions positions;            ///< what the tests compared
  /// Not comparable: rates stand, t and p do not, and `reason` says why.
  ComparabilityCheck check;
  std::size_t n_units = 0;  ///< tested
  bool grouped = false;     ///< units are groups of prompts
  std::int64_t n_permutations = 0;
  double smallest_p_value = undefined;  ///< that max-T can give with these units and draws
  double smallest_p_adjusted = undefined;
  double level = 0.05;
  std::size_t n_significant = 0;             ///< cells
  std::size_t n_listed = 0;                  ///< cells with q_value ≤ level
  std::vector<CategoryExperts> significant;  ///< [K]
  std::vector<std::string> notices;

  bool tested() const { return check.outcome == Comparability::comparable; }
  const ExpertCell& at(int layer, int expert, int category) const {
    const std::size_t row =
        static_cast<std::size_t>(layer) * static_cast<std::size_t>(shape.n_experts) +
        static_cast<std::size_t>(expert);
    return cells[row * categories.size() + static_cast<std::size_t>(category)];
  }
};

/// Which experts does a category use more, or less, than the other categories?
///
/// *Estimates*: rates over all selected tokens, with intervals whose clusters are the units.
///
/// *Tests*: on the common positions (see CommonPositions), t = (π_c − π_others) / √(V_c + V_others)
/// of the clustered rates there (see rates.h), where each variance is at least what the pooled
/// spread of all units would make it, and relabellings of whole units (see permuted_labels). Where
/// units hold several categories their means are taken off first, since labels are exchanged within
/// them. A cell's adjusted p is the share of relabellings whose largest |t| of all cells reaches
/// its own (Westfall and Young, single step); its p-value is the share of all cells' relabelled |t|
/// that do, to 1/1024, from which the false discovery rates come. Both count the observed labels
/// among the relabellings.
/// @param groups [n], or empty: every prompt is a unit
/// @throws Error (interrupted). What cannot be tested is no error: see `check`.
ExpertCategoriesResult expert_categories(const Signatures& signatures, const RoutedTokens& tokens,
                                         std::span<const std::string> groups,
                                         const ExpertCategoriesOptions& options);

/// As many relabellings as 10⁹ operations allow, from 999 to 9,999; beyond 4·10¹⁰ operations
/// fewer, down to 199.
std::int64_t default_permutations(std::size_t n_units, const RoutingShape& shape,
                                  std::size_t n_categories);

/// The steps that Work will hear of, at most.
std::int64_t expert_categories_steps(const Signatures& signatures,
                                     const ExpertCategoriesOptions& options);

}  // namespace moexray::stats
