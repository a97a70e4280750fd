#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

/// A token that two routings have in common: indices into RoutedTokens::tokens.
struct AlignedToken {
  std::size_t first = 0;
  std::size_t second = 0;
};

/// The tokens of a prompt that two routings have in common, by position.
struct AlignedPrompt {
  std::vector<AlignedToken> tokens;
  int unit = 0;                ///< which of the units of inference it belongs to, from 0
  std::size_t first_row = 0;   ///< the prompt among the signatures of the first
  std::size_t second_row = 0;  ///< and of the second
};

/// What two routings of the same prompts have in common.
struct Alignment {
  std::vector<AlignedPrompt> prompts;  ///< those with a common token
  std::size_t n_units = 0;             ///< of these prompts
  std::size_t n_shared_prompts = 0;    ///< whose ids both have
  std::size_t n_only_first = 0;
  std::size_t n_only_second = 0;
  std::size_t n_tokens = 0;    ///< aligned
  std::size_t n_selected = 0;  ///< selected tokens of the shared prompts, of the longer side each
  bool has_ids = true;         ///< false: some token has no id, and positions had to do

  double share() const {
    return n_selected == 0 ? undefined
                           : static_cast<double>(n_tokens) / static_cast<double>(n_selected);
  }
};

/// Aligns two routings by prompt id, and prompts by position, from the start up to the first token
/// that is not the same: behind it hidden states belong to other texts. Only selected tokens that
/// both have count; tokens that are selected in neither, or in one alone, do not end it.
/// @param groups [rows of the first] units, empty where a prompt is one by itself; or no entries
Alignment align(const Signatures& first_rows, const RoutedTokens& first,
                const Signatures& second_rows, const RoutedTokens& second,
                std::span<const std::string> groups);

/// The levels that agreement is compared with, from the least to the most that is held fixed.
enum class ChanceLevel { uniform, popularity, same_prompt, same_type };
inline constexpr std::array chance_levels = {ChanceLevel::uniform, ChanceLevel::popularity,
                                             ChanceLevel::same_prompt, ChanceLevel::same_type};
/// "uniform", "popularity", "same_prompt", "same_type".
std::string name_of(ChanceLevel level);

/// A number with its 95% interval over units.
struct ClusteredEstimate {
  double estimate = undefined;
  std::array<double, 2> ci95 = {undefined, undefined};
};

/// Agreement beyond one chance level.
struct ChanceCorrected {
  double chance = undefined;  ///< c
  ClusteredEstimate kappa;    ///< (O − c) / (1 − c), O and c over the same tokens
  double coverage = 1;        ///< share of the aligned tokens that it could be taken over
};

struct LayerAgreement {
  ClusteredEstimate overlap;  ///< O = mean of |A ∩ B| / min(k_A, k_B)
  double jaccard = undefined;
  double top1 = undefined;       ///< the same expert first; undefined where the order is unknown
  double identical = undefined;  ///< the smaller set lies within the larger
  std::array<ChanceCorrected, 4> chance;  ///< by chance_levels
  /// Mean share of the weight of A's experts that those have which B chooses too; undefined where
  /// A's weights were not kept.
  double weighted = undefined;
  /// [k_A] share of the experts that B lost, by the rank they had in A; empty: order unknown.
  std::vector<double> lost_by_rank;
  double n_lost = 0;  ///< places, of A's experts in all tokens
  /// [n_next + 1] share of the experts that B gained, by the rank that A's logits give them among
  /// all: k_A + 1, k_A + 2, …, and in the end all beyond; empty: A's logits were not kept.
  std::vector<double> gained_by_rank;
  double n_gained = 0;  ///< places, of B's experts in all tokens
  /// [near_tie_margins] share of the tokens whose last chosen expert is by less than that more
  /// probable in A than the first that is not; undefined where A's logits were not kept.
  std::array<double, 3> near_ties = {undefined, undefined, undefined};
};

/// Of probability, by which the last chosen expert leads.
inline constexpr std::array near_tie_margins = {0.0001, 0.001, 0.01};

struct AgreementOptions {
  int min_type_count = 5;  ///< tokens of its type in other units that a token needs for same_type
  double min_coverage = 0.25;  ///< below it nothing is said beyond same_type
  std::size_t min_units = 10;  ///< fewer units have no intervals; 2 at least
  bool ordered = true;         ///< experts stand in the router's order in both
  int n_threads = 1;           ///< does not change the result
  Work work = {};              ///< a step a layer
};

/// How often do two routings of the same tokens choose the same experts, layer by layer, and how
/// much more often than chance?
///
/// Chance, nested (k = min(k_A, k_B); π inclusion rates over the aligned tokens):
/// - uniform: k_A k_B / (E k);
/// - popularity: Σ_e π^A_e π^B_e / k;
/// - same prompt: a token in A against the *other* tokens of its prompt in B, (A·B − Σ_t |A_t ∩
///   B_t|) / ((T − 1) k) summed over a prompt's T tokens, where A and B count selections; prompts
///   of one token are left out;
/// - same type: a token in A against the tokens of its type in *other units* in B; types with fewer
///   than `min_type_count` of these are left out.
///
/// Intervals are those of ratios of sums over units (rates.h), Student's t of n − 1: of the overlap
/// on the logit scale, of 1 − κ = (1 − O) / (1 − c) on the logarithmic one. They take π, and the
/// mean routing of types, for known. Undefined for fewer than `min_units`, or where every token
/// agrees. docs/statistics.md has their coverage.
/// @returns [L]
/// @throws Error (data) unless both have the same number of layers and experts, Error (interrupted)
std::vector<LayerAgreement> agreement(const RoutedTokens& first, const RoutedTokens& second,
                                      const Alignment& alignment, const AgreementOptions& options);

/// What a shift of layers would do: κ beyond the same prompt of layer ℓ of the first with layer ℓ +
/// shift of the second, over all layers that both have.
struct LayerShift {
  int shift = 0;
  double kappa = undefined;
  /// Of the difference to shift 0 over units, in standard errors.
  double t = undefined;
};

/// Shifts −3 … 3, over as many prompts as give some 20,000 tokens. A trace whose layers are counted
/// from another layer than those of the other agrees better when shifted, and not a little.
/// @throws as agreement()
std::vector<LayerShift> layer_shifts(const RoutedTokens& first, const RoutedTokens& second,
                                     const Alignment& alignment);

/// The shift that wins over 0 by more than 5 standard errors and 0.1 of κ; 0: none does.
int winning_shift(std::span<const LayerShift> shifts);

/// The mean over tokens of the Jaccard index of two random sets of k_A and k_B of E experts:
/// Σ_j h(j)·j/(k_A + k_B − j), h hypergeometric. 0.0705 for 8 and 8 of 64.
double uniform_jaccard(int n_experts, int first_k, int second_k);

}  // namespace moexray::stats
