#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "moexray/stats/compared_prompts.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/units.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

/// Mean and sample standard deviation; that of one value is undefined.
std::array<double, 2> mean_and_sd(std::span<const double> values);

/// How well the routing of one router separates the categories.
struct RouterScores {
  double gap = undefined;       ///< mean similarity within − across
  double cohens_d = undefined;  ///< of the similarities
  /// Share of the variance that lies between categories, without the bias of few prompts:
  /// 1 − W/T, W the mean of 1 − similarity over the pairs of one category (of each, weighted by
  /// n_c − 1), T over all pairs. Pairs inside a unit count in neither. Without groups it is
  /// (R² − (K − 1)/(n − 1)) / (1 − (K − 1)/(n − 1)) of PERMANOVA's R²; its mean is 0 where
  /// categories differ in nothing.
  double r_squared = undefined;
  double accuracy = undefined;  ///< of held-out predictions of the classifier of information()
  double bits = undefined;      ///< H(Y) − its held-out cross-entropy
  double load_cv = undefined;   ///< of experts over all selected tokens, mean over layers
  Vector r_squared_without;     ///< [units] r_squared of all other units
  Vector unit_bits;             ///< [units] of a unit's prompts, mean over them
};

struct RouterScoresOptions {
  int n_folds = 5;
  int n_divisions = 2;  ///< into folds, whose predictions are averaged; 0: no classifier
  std::uint64_t seed = 0;
};

/// @param compared whose labels and units are those of `signatures`
/// @param selected signatures over all selected tokens, of which the load comes
RouterScores router_scores(const ComparedPrompts& compared, const Signatures& signatures,
                           const Signatures& selected, const RouterScoresOptions& options);

/// A number of one router against that of random ones.
struct RouterContrast {
  double own = undefined;
  double mean = undefined;        ///< over R random routers
  double sd = undefined;          ///< sample standard deviation over them
  double difference = undefined;  ///< own − mean
  /// t(R − 1; 97.5%) · sd · √(1 + 1/R): what another random router of these prompts stays within.
  double router_error = undefined;
  /// 1.96 standard errors of the difference between prompts, by the jackknife over units.
  double prompt_error = undefined;
  /// difference ± the larger of both errors.
  std::array<double, 2> ci95 = {undefined, undefined};
};

/// @param own its value, and its values without each unit, [units]
/// @param random [R] likewise
/// @param units of whose category the jackknife's strata are
RouterContrast router_contrast(double own, const Vector& own_without,
                               std::span<const double> random,
                               std::span<const Vector> random_without, const Units& units);

/// Where bits of units, averaged, take the place of values without them: their mean without unit u.
Vector means_without(const Vector& values);

/// Random routers of one kind and form.
struct RouterFamily {
  std::string kind;                  ///< "random", "permuted-dims" or "router:NAME"
  std::string form;                  ///< "plain" or "load matched"
  std::vector<std::size_t> members;  ///< into RandomRoutersResult::watched
  RouterScores mean;                 ///< over members
  RouterScores sd;
  RouterContrast r_squared;
  RouterContrast bits;
  RouterContrast cohens_d;  ///< without a prompt error
};

struct WatchedRouter {
  std::string router;  ///< "random:1"
  std::string form;
};

enum class RouterOutcome { better, no_better, worse, cannot_tell };

struct RandomRoutersOptions {
  RouterScoresOptions scores = {};
  int n_threads = 1;  ///< does not change the result
  Work work = {};     ///< a step is a router
};

struct RandomRoutersResult {
  RouterScores trained;                ///< on the compared prompts, but for the load
  double trained_d = undefined;        ///< Cohen's d over all selected tokens
  std::vector<WatchedRouter> watched;  ///< [shadows]
  std::vector<RouterScores> scores;    ///< [shadows]
  std::vector<double> selected_d;      ///< [shadows] Cohen's d over all selected tokens
  std::vector<RouterFamily> families;
  int verdict_family = -1;  ///< load-matched random routers; −1: there are none
  RouterOutcome outcome = RouterOutcome::cannot_tell;
  std::string reason;  ///< of cannot_tell
  std::vector<std::string> notices;
};

/// Fewest load-matched random routers that a verdict takes.
inline constexpr std::size_t min_random_routers = 5;

/// Compares the routing of a trace with that of routers that watched it.
/// @param routed of shadow i: the tokens of the trace with the experts it chose. Called from
///   several threads.
/// @throws Error (interrupted)
RandomRoutersResult random_routers(const Signatures& signatures, const ComparedPrompts& compared,
                                   std::vector<WatchedRouter> watched,
                                   const std::function<RoutedTokens(std::size_t)>& routed,
                                   const RandomRoutersOptions& options);

/// The verdict on a difference: of load-matched random routers, by R².
RouterOutcome router_outcome(const RouterContrast& contrast);

/// Signatures over the selected tokens of a prompt, by what another router chose for them.
/// @param own those of the trace, whose labels and numbers of tokens they have
Signatures selected_signatures(const RoutedTokens& tokens, const Signatures& own);

}  // namespace moexray::stats
