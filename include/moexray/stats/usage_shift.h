#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/stats/agreement.h"
#include "moexray/stats/common_positions.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/permutation_tests.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

/// How often prompts select each expert in two routings of the same tokens.
struct PairedUsage {
  /// Counts of selections; single precision holds them up to 2²⁴.
  using Counts = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  RoutingShape shape;                   ///< of both
  Counts first;                         ///< [n, L·E]
  Counts second;                        ///< [n, L·E]
  std::vector<std::int64_t> n_tokens;   ///< [n] of both
  std::vector<std::string> ids;         ///< [n]
  std::vector<std::string> categories;  ///< [n] empty: none
  std::vector<std::string> groups;      ///< [n], or empty: every prompt is a unit
  std::size_t n_unequal = 0;  ///< prompts left out: of counts, with other numbers of tokens

  /// The changes of the rates on the positions that prompts have in common, for tests of labels.
  CommonPositions positions = {};
  ComparabilityCheck check = {};  ///< not comparable: why
  Matrix common = {};             ///< [n', L·E] second − first, share of the positions
};

/// Of the aligned tokens.
/// @param groups [rows of the first], or empty
/// @param positions of CommonPositions, counted among aligned tokens
/// @throws Error (data) unless both have the same shape.
PairedUsage paired_usage(const Signatures& first_rows, const RoutedTokens& first,
                         const RoutedTokens& second, const Alignment& alignment,
                         std::span<const std::string> groups, TokenSelection tokens,
                         CommonPositionsOptions positions = {});

/// Of signatures, whose prompts go by their ids: those with as many tokens in both.
/// @throws Error (data) unless both have the same shape, a known k, and a prompt with as many
/// tokens in both.
PairedUsage paired_usage(const Signatures& first, const Signatures& second,
                         std::span<const std::string> groups);

struct UsageShiftOptions {
  int n_permutations = 0;      ///< sign flips, and relabellings; 0: by sizes alone
  std::size_t min_units = 10;  ///< fewer units have no intervals; 2 at least
  double level = 0.05;         ///< of claims and of lists
  std::uint64_t seed = 0;
  int n_threads = 1;  ///< does not change the result
  Work work = {};     ///< a step for 32 sign flips: usage_shift_steps()
};

/// One expert: whether the second routing uses it more or less.
struct ExpertShift {
  int layer = 0;
  int expert = 0;
  double first = undefined;       ///< π, share of the tokens that select it
  double second = undefined;      ///< likewise
  double difference = undefined;  ///< second − first
  std::array<double, 2> ci95 = {undefined, undefined};
  double t = undefined;           ///< of the difference; undefined where no unit's count differs
  double p_value = undefined;     ///< share of the flipped |t| of all experts that reach |t|
  double p_adjusted = undefined;  ///< max-T over all experts: for claims
  double q_value = undefined;     ///< Benjamini–Hochberg over all experts: for lists
  bool significant = false;       ///< p_adjusted ≤ level
};

/// Entropy of a layer's load, in bits: log₂ E where all experts are used alike.
struct EntropyShift {
  int layer = 0;
  int category = -1;  ///< into UsageShift::categories; −1: of all prompts
  double first = undefined;
  double second = undefined;
  ClusteredEstimate difference = {};  ///< second − first
};

struct UsageShift {
  RoutingShape shape;
  std::size_t n_units = 0;
  double n_tokens = 0;
  std::vector<ExpertShift> experts;     ///< [L, E]
  std::vector<std::string> categories;  ///< [K] alphabetical; none where some prompt has none
  std::vector<EntropyShift> entropies;  ///< [L, 1 + K], all prompts first
  int n_draws = 0;                      ///< sign flips; all 2ⁿ if exact
  bool exact = false;
  double smallest_p_adjusted = undefined;  ///< that so many units can give
  std::size_t n_significant = 0;
  std::size_t n_listed = 0;  ///< experts with q_value ≤ level

  /// Do categories differ in how usage shifts? Pseudo-F of the prompts' changes on the common
  /// positions, under relabelling.
  PermutationTest by_category;
  double r_squared = undefined;  ///< share of the changes' variance that lies between categories
  ComparabilityCheck check;      ///< not comparable: why `by_category` has no p-value
  CommonPositions positions;
};

/// Which experts does the second routing use more, or less, for the same tokens?
///
/// Δπ = Σ (B − A) / Σ T over units, a ratio (rates.h) with t = Δπ / √V and the interval ± t(n − 1)
/// √V. If the two routings of a unit are exchangeable, B − A has a random sign: exchanging the
/// members of random units gives the null distribution of all |t| together (see paired.h; all 2ⁿ
/// exchanges for few units), of whose largest p_adjusted is the share that reaches a |t| (max-T,
/// single step), and of all of which p_value is.
///
/// ΔH of a layer, with loads p_e = π_e / k: exactly Σ h / Σ T with h = Σ_e (A_e log₂ p^A_e − B_e
/// log₂ p^B_e) / k of each unit, so that its interval is that of a ratio too (the delta method: how
/// far the loads are themselves uncertain enters to the first order).
/// @throws Error (interrupted)
UsageShift usage_shift(const PairedUsage& usage, const UsageShiftOptions& options);

/// The steps that Work will hear of.
std::int64_t usage_shift_steps(const PairedUsage& usage, const UsageShiftOptions& options);

}  // namespace moexray::stats
