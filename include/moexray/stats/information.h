#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "moexray/stats/compared_prompts.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

struct InformationOptions {
  int n_folds = 5;          ///< 4 to 64
  int n_repetitions = 200;  ///< of nested cross-validation; 0: no bound
  /// Of the labels; 0: 20·L·E, which is what false discovery rates over all experts need.
  std::int64_t n_permutations = 0;
  std::uint64_t seed = 0;
  std::vector<std::string> groups = {};  ///< [n] or empty, see make_units
  int n_threads = 1;                     ///< does not change the result
  Work work = {};                        ///< information_steps steps
};

/// Bits about the category in a prompt's signature, at least: H(Y) − the held-out cross-entropy of
/// a classifier. Negative where the classifier does worse than the proportions of the categories.
struct InformationBound {
  double bits = undefined;
  std::array<double, 2> ci95 = {undefined, undefined};  ///< nested cross-validation
  std::string reason;                                   ///< why there is no interval
  double entropy = undefined;                           ///< H(Y) of the design's proportions
};

/// Mutual information between the category of a token's prompt and the token's routing, in bits.
struct TokenInformation {
  int layer = 0;
  int expert = -1;                  ///< −1: of the layer as a whole
  double bits = undefined;          ///< (plug_in − null_mean) / (1 − (K − 1) / (n − 1))
  double plug_in = undefined;       ///< of the observed proportions
  double null_mean = undefined;     ///< of plug_in under permuted labels of prompts
  double miller_madow = undefined;  ///< plug_in less its bias if tokens were independent
  /// On the compared prompts: (1 + permutations with at least the plug_in there) / (1 + all).
  double p_value = undefined;
  /// Adjusted for all experts (for all layers): see InformationResult::adjustment.
  double q_value = undefined;
};

struct InformationResult {
  InformationBound bound;
  std::vector<TokenInformation> layers;   ///< [L]
  std::vector<TokenInformation> experts;  ///< [L·E]
  /// "Benjamini-Hochberg" (from 20·L·E permutations on) or "max-T".
  std::string adjustment;
  std::int64_t n_permutations = 0;
  std::vector<std::string> categories;
  std::vector<std::string> notices;
};

/// How much routing tells about the category.
///
/// *Bound*: the signature's classifier as in confounds(), log odds scaled in inner folds and
/// probabilities mixed with 1% of the training proportions, so that no prompt costs more than log₂
/// (100/share) bits.
///
/// *Expert*: plug-in I(Z; Y) over the selected tokens, Z whether the token selects the expert, Y
/// the category of its prompt: Σ_c (N_c/N) KL(A_c/N_c ‖ A/N). *Layer*: I(E; Y), E a random one of
/// the k experts that a token selects: Σ_c (N_c/N) KL(A_c·/(k N_c) ‖ A·/(k N)). The tokens of a
/// prompt are not independent: what their number alone would give is the mean over permutations of
/// the labels of whole prompts (units). That mean holds part of the effect, since permuted labels
/// agree with the true ones in some prompts: of a category's effect (K − 1)/(n − 1) for n units in
/// K categories, by which the difference is divided. The p-values come from permutations too, on
/// the compared prompts.
/// @throws Error (data) with fewer than two categories or prompts without one, with weighted
///         signatures; (interrupted). A bound that the design does not allow is said in `notices`.
InformationResult information(const Signatures& signatures, const ComparedPrompts& compared,
                              const InformationOptions& options);

/// The options with fewer repetitions and permutations where there are many prompts, features or
/// categories: as many as 10¹⁰ operations allow of each, at most what is asked for; fewer
/// permutations than false discovery rates need: 999 or less, at least 199; below five repetitions
/// none. Nothing where even that takes minutes.
std::optional<InformationOptions> affordable(const InformationOptions& options,
                                             const Signatures& signatures);

/// The steps that Work will hear of.
std::int64_t information_steps(const Signatures& signatures, const InformationOptions& options);

}  // namespace moexray::stats
