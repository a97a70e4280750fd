#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/similarity.h"

namespace moexray::stats {

/// How alike the two halves of a prompt's tokens are, averaged over prompts.
struct SplitHalf {
  double cosine = undefined;  ///< of the counts of the first and the second half, mean over layers
  /// A₁·A₂/(T₁T₂) over the unbiased squared norm of the whole: 1 on average if the tokens of a
  /// prompt are independent draws, less if neighbours go alike or a prompt changes along its way.
  double corrected = undefined;
  int n_prompts = 0;
};

struct NoiseCorrectedResult {
  PairStatistics within;
  PairStatistics across;
  double gap = undefined;  ///< no Cohen's d: the spread of pairs keeps the noise
  /// How much too high a similarity is by the noise of its norms, if routing were uniform:
  /// uniform_excess() averaged over the prompts that have a value.
  double uniform_excess = undefined;
  int n_prompts = 0;                          ///< that have a value
  int n_too_few_tokens = 0;                   ///< left out: fewer than 16 tokens
  int n_without_norm = 0;                     ///< left out: a squared norm that is not positive
  std::vector<std::string> empty_categories;  ///< none of whose prompts has a value
  int n_shared_prefix = 0;                    ///< leading tokens that all prompts have in common
  bool has_template = false;                  ///< tokens of the chat template were left out
  bool has_ids = true;                        ///< false: the shared prefix is not known
  SplitHalf split_half;
};

/// Tokens that a prompt needs for the noise correction.
inline constexpr std::int64_t min_corrected_tokens = 16;

/// (‖A‖² − Tk)/(T(T − 1)): without bias ‖π‖², the squared norm of the rates at which a token
/// chooses the experts, if the T tokens are independent draws.
/// @param counts [E] selections that add up to Tk
double unbiased_squared_norm(const Eigen::Ref<const Eigen::RowVectorXd>& counts,
                             std::int64_t n_tokens, int top_k);

/// How far corrected similarities of uniform routing lie above 1 on average, to first order: ¾ of
/// the relative variance of the unbiased squared norm, ¾ · 2(E − k)² / (k²(E − 1) T(T − 1)). What
/// makes routing less uniform makes it smaller at few tokens, and slower to vanish.
double uniform_excess(std::int64_t n_tokens, const RoutingShape& shape);

/// Above this it is told: a similarity may then be 0.01 too high.
inline constexpr double max_uniform_excess = 0.005;

/// Similarity without the noise of few tokens: (1/L) Σ_ℓ A_a·A_b/(T_a·T_b·√(N_a·N_b)), N from
/// unbiased_squared_norm. Assumes independent tokens. Not clipped: values above 1 occur. Of the
/// selected tokens those of the chat template and of the prefix that all prompts share are left
/// out; prompts with fewer than 16 tokens, or a norm that is not positive at some layer, are too.
NoiseCorrectedResult noise_corrected_similarity(const RoutedTokens& tokens,
                                                const Signatures& signatures,
                                                const CategoryIndex& categories);

}  // namespace moexray::stats
