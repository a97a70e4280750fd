#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/units.h"

namespace moexray::stats {

struct PermutationOptions {
  int n_permutations = 9999;
  std::uint64_t seed = 0;
  int n_threads = 1;                        ///< does not change the result
  const std::atomic<bool>* stop = nullptr;  ///< once true, the work ends with Error (interrupted)
};

/// A statistic and the share of relabellings that reach it: p = (1 + those at least as large) /
/// (1 + relabellings).
struct PermutationTest {
  double statistic = undefined;
  double p_value = undefined;
  int n_draws = 0;
};

/// The smallest p-value that relabelling can give, about 1 / the number of different partitions it
/// can make of the prompts (those that differ only in the names of the categories are one). 1: all
/// relabellings give the same partition, and nothing can be tested.
double smallest_p_value(const Units& units, const CategoryIndex& categories);

/// The gap and PERMANOVA under the same relabellings.
struct LocationTests {
  PermutationTest gap;  ///< mean similarity within − across, one-sided
  /// Pseudo-F = (SS_A / (K − 1)) / (SS_W / (n − K)) of Anderson (2001).
  PermutationTest permanova;
  double r_squared = undefined;  ///< SS_A / SS_T
};

/// Do categories differ in where their prompts lie? Squared distances are chord distances,
/// d² = 2(1 − sim); with unit vectors x, SS_T = n − ‖Σx‖²/n and SS_W = n − Σ_c ‖Σ_{i∈c} x_i‖²/n_c,
/// so that a relabelling costs n·min(n, D) additions. Relabellings keep units whole; see
/// permuted_labels(). Undefined for one category, or where every category has one prompt; p-values
/// also where smallest_p_value() is 1.
/// @param blocks [n, D] from unit_blocks.
/// @throws Error (interrupted)
LocationTests test_location(const Matrix& blocks, const CategoryIndex& categories,
                            const Units& units, const PermutationOptions& options);

/// Pseudo-F and R² as in LocationTests, of any rows: squared distances are Euclidean.
struct PseudoF {
  PermutationTest f;
  double r_squared = undefined;
};

/// Do categories differ in the means of their rows? Undefined as test_location() is.
/// @param rows [n, D]
/// @throws Error (interrupted)
PseudoF test_pseudo_f(const Matrix& rows, const CategoryIndex& categories, const Units& units,
                      const PermutationOptions& options);

struct DispersionTest {
  PermutationTest f;              ///< of the distances, one-way analysis of variance
  std::vector<double> distances;  ///< [K] mean distance of a category's prompts to its median
};

/// Do categories differ in how widely their prompts scatter? PERMDISP (Anderson 2006): F of the
/// distances of prompts to the spatial median of their category, in all dimensions. As in
/// scikit-bio, medians are found anew for every relabelling. The medians come from Weiszfeld's
/// iteration with the correction of Vardi and Zhang (2000) for a median on a point, from the mean
/// until a step is below 1e-7. Undefined for one category, n = K, or no spread.
/// @param similarity [n, n] from pair_similarity: inner products of unit vectors.
/// @throws Error (interrupted)
DispersionTest test_dispersion(const Matrix& similarity, const CategoryIndex& categories,
                               const Units& units, const PermutationOptions& options);

/// Cohen's d of one layer, and its p-value among all layers.
struct LayerTest {
  double cohens_d = undefined;
  double p_adjusted = undefined;
  /// The |d| above which p_adjusted is at most 0.05, the same for all layers: the 95% quantile of
  /// the largest |d| under relabelling. Undefined where nothing can be tested, or with fewer than
  /// 19 relabellings.
  double limit95 = undefined;
};

/// Which layers separate the categories? One relabelling serves all layers, and a layer's |d| is
/// compared with the largest |d| of all layers (Westfall and Young's max-T, single step), so that
/// the chance of any false finding is bounded.
/// @return [L]
/// @throws Error (interrupted)
std::vector<LayerTest> test_layers(const Signatures& signatures, const CategoryIndex& categories,
                                   const Units& units, const PermutationOptions& options);

}  // namespace moexray::stats
