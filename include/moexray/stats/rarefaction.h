#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

struct RarefactionOptions {
  int n_draws = 20;
  std::int64_t n_tokens = 0;  ///< tokens a prompt keeps; 0: as many as the shortest prompt has
  std::uint64_t seed = 0;
  int n_threads = 1;                        ///< does not change the result
  const std::atomic<bool>* stop = nullptr;  ///< once true, the work ends with Error (interrupted)
};

/// Mean and sample standard deviation over draws.
struct OverDraws {
  double mean = undefined;
  double std = undefined;
};

struct RarefactionResult {
  std::int64_t n_tokens = 0;
  int n_draws = 0;
  int n_prompts = 0;                          ///< that have enough tokens
  int n_too_few_tokens = 0;                   ///< left out: fewer than n_tokens
  std::vector<std::string> empty_categories;  ///< none of whose prompts has enough
  OverDraws within;
  OverDraws across;
  OverDraws gap;
  OverDraws cohens_d;
};

/// Similarity with the same number of tokens of every prompt: each draw keeps n_tokens of a
/// prompt's selected tokens, without replacement and with all their layers. Prompts with fewer are
/// left out.
/// @throws Error (interrupted)
RarefactionResult rarefied_similarity(const RoutedTokens& tokens, const Signatures& signatures,
                                      const CategoryIndex& categories,
                                      const RarefactionOptions& options);

}  // namespace moexray::stats
