#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/permutation_tests.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

/// One line of the two-way analysis of variance.
struct CrossedEffect {
  double sum_of_squares = undefined;  ///< of chord distances
  std::int64_t degrees_of_freedom = 0;
  double r_squared = undefined;  ///< its share of the total sum of squares
  PermutationTest test;          ///< pseudo-F; of the two kinds of noise: undefined
};

/// Crossed prompts: every wording (a unit, in one category) is there with every level of a second
/// factor, which is called topic here. Does the category change the routing, does the topic, and
/// does what the topic changes depend on the category?
struct CrossedTests {
  std::vector<std::string> levels;  ///< of the topic, sorted
  std::size_t n_prompts = 0;        ///< that were compared
  std::size_t n_units = 0;          ///< wordings that were compared
  std::size_t n_left_out = 0;       ///< prompts whose wording has not every level once
  CrossedEffect category;
  CrossedEffect topic;
  CrossedEffect interaction;
  CrossedEffect between;  ///< wordings of a category: what the category's F is compared with
  CrossedEffect
      within;          ///< wordings × topics: what the F of topic and interaction are compared with
  std::string reason;  ///< why nothing was tested, else empty
};

/// Two-way PERMANOVA in which wordings are the units, not prompts. Distances are chord distances,
/// d² = 2(1 − sim); the design is balanced by leaving out incomplete wordings, so that the sums of
/// squares add up. Labels move as far as the null hypothesis lets them and no further:
/// - category: between whole wordings, F against the wordings of a category;
/// - topic: within a wording, F against wordings × topics;
/// - interaction: categories between whole wordings, of whose prompts their mean has been taken
/// off. Residuals are not permuted freely: where wordings differ, and categories do not, that finds
/// a category nearly always.
/// @param blocks [n, D] from unit_blocks
/// @param topics [n] empty where a prompt has none
/// @param wordings [n] empty where a prompt has none
/// @throws Error (interrupted)
CrossedTests test_crossed(const Matrix& blocks, const CategoryIndex& categories,
                          std::span<const std::string> topics,
                          std::span<const std::string> wordings, const PermutationOptions& options);

}  // namespace moexray::stats
