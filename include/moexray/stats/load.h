#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/stats/load_metrics.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/router_outputs.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

struct LoadOptions {
  int n_draws = 0;  ///< of each null; 0: 499, fewer down to 99 where there are many units
  ExpertPlacement placement = {};
  std::int64_t window = 0;  ///< tokens of a batch; 0: no batches are looked at
  std::uint64_t seed = 0;
  int n_threads = 1;                        ///< does not change the result
  const std::atomic<bool>* stop = nullptr;  ///< once true, the work ends with Error (interrupted)
};

/// Fewer units do not tell how much units differ.
inline constexpr std::size_t min_cluster_units = 5;

/// What chance alone makes of the load of a layer.
struct ChanceLoad {
  LoadMetrics mean;  ///< over draws
  /// What one draw of twenty is less even than: 95% quantiles, 5% ones of what is 1 if even.
  LoadMetrics limit95;
  int n_draws = 0;  ///< 0: not known
};

/// MaxVio (largest load over the mean, less 1) of batches of tokens, at one layer.
struct WindowLoad {
  double mean = undefined;      ///< over batches of tokens that follow each other
  double largest = undefined;   ///< of them
  double shuffled = undefined;  ///< mean over batches of the same tokens in random order
  double uniform = undefined;   ///< mean under uniform routing
};

/// How evenly a layer uses its experts, beside what chance gives.
struct LayerBalance {
  double tokens = undefined;  ///< T; undefined for counts of which k is not known
  double selections = 0;
  LoadMetrics load;
  std::vector<int> dead;             ///< experts without a selection
  double expected_dead = undefined;  ///< under uniform routing, E (1 − k/E)^T
  ChanceLoad uniform;                ///< every token draws k different experts, all equally likely
  ChanceLoad clusters;  ///< experts are equally popular, and units differ as much as these do
  /// E Σ_e f_e P_e of the Switch Transformer and GShard, f_e the share of the selections (not of
  /// the tokens: those would sum to k): 1 where either is even. Undefined without logits.
  double switch_loss = undefined;
  double z_loss = undefined;  ///< see RouterOutputs
  WindowLoad window;
};

struct LoadResult {
  RoutingShape shape;
  std::size_t n_units = 0;
  bool grouped = false;
  /// Of experts that no unit uses: with 95% confidence a smaller share of such units does,
  /// 1 − 0.05^(1/n), about 3/n. Tokens of a unit are not independent: n is not their number.
  double dead_bound = undefined;
  double balancedness = undefined;  ///< Σ_ℓ mean / Σ_ℓ largest of the devices' loads
  std::int64_t n_windows = 0;
  std::vector<LayerBalance> layers;  ///< [L]
  std::vector<std::string> notices;
};

/// How evenly each layer uses its experts over the selected tokens, beside what uniform routing of
/// as many tokens and what clustering alone would show: a finite number of tokens never is used
/// evenly, and tokens of one unit are alike, which looks like imbalance until there are many units.
///
/// *Uniform*: simulated; beyond 1,000 expected selections of an expert by the normal limit with
/// the same variances T p (1 − p), p = k/E, and correlations −1/(E − 1).
///
/// *Clusters*: c*_e = T p + Σ_u w_u r_ue, r_ue = (A_ue − T_u π_e) √(n/(n − 1) · p(1 − p)/(π_e(1 −
/// π_e))) with the numbers w of how often n draws with replacement take each unit: counts of
/// experts that are all popular alike, with the design effects of these. An expert without
/// selections gets the mean design effect. Not known for fewer than min_cluster_units.
///
/// @param groups [n], or empty: every prompt is a unit
/// @param tokens of the signatures, for windows; may be empty without
/// @param outputs null: no logits
/// @throws Error (data) for signatures without a selection; Error (runtime) for a window without
/// tokens or a placement that does not fit; Error (interrupted).
LoadResult load(const Signatures& signatures, std::span<const std::string> groups,
                const RoutedTokens& tokens, const RouterOutputs* outputs,
                const LoadOptions& options);

}  // namespace moexray::stats
