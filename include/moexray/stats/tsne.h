#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "moexray/stats/matrix.h"

namespace moexray::stats {

/// More rows are refused: the cost grows with their square.
inline constexpr int max_tsne_rows = 20'000;

struct TsneOptions {
  double perplexity = 30;    ///< lowered to (n − 1)/3 where 3·perplexity ≥ n
  bool standardize = false;  ///< scale features to standard deviation 1; constant ones become 0
  int max_iterations = 1000;
  /// [n, 2] where the points start, up to a scale (PCA scores of the same features, say); empty:
  /// these scores are computed.
  Matrix start = {};
  std::uint64_t seed = 0;                   ///< of the noise in the starts
  int n_threads = 1;                        ///< does not change the result
  const std::atomic<bool>* stop = nullptr;  ///< when true, Error (interrupted) is thrown
  /// Told how many iterations are done, of up to tsne_descents(n) · max_iterations; empty: nobody.
  std::function<void(int n_done)> progress = {};
};

struct TsneResult {
  Matrix embedding;                    ///< [n, 2]
  double perplexity = 0;               ///< as used
  double kl_divergence = 0;            ///< of the embedding, in double precision
  double trustworthiness = undefined;  ///< see trustworthiness(); undefined if all rows are equal
  int n_trust_neighbors = 0;           ///< its k: 5, or the largest below n/2
  int n_iterations = 0;                ///< of the descent that led there
  std::vector<std::string> notices;
};

/// How many descents tsne() makes: 5 up to 500 rows, above that 1.
int tsne_descents(Eigen::Index n_rows);

/// t-distributed stochastic neighbour embedding in the plane (van der Maaten and Hinton 2008) with
/// scikit-learn's settings: Euclidean distances; start at the PCA scores, scaled to a standard
/// deviation of 1e-4 along the first; 250 iterations with early exaggeration 12 and momentum 0.5,
/// then momentum 0.8; learning rate max(n/48, 50); gains of each coordinate (+0.2 against the last
/// step's direction, ×0.8 along it, at least 0.01). Input similarities run over all pairs up to
/// 1,000 rows, above that over the min(n − 1, ⌊3·perplexity + 1⌋) nearest neighbours, which are
/// found exactly. The repulsion is summed over all pairs: n² operations an iteration.
///
/// A descent ends after max_iterations, or when, looked at every 50 iterations, the gradient's norm
/// is at most 1e-7, or the divergence has not improved for more than 300. Of the points looked at
/// and the last ones, those of least divergence count.
///
/// Where rows are few, rounding decides between minima of quite different depth: the best of
/// tsne_descents(n) descents is returned, the later ones from starts with normal noise of 1e-6.
/// @param rows [n, D]
/// @throws Error (data) for n < 4 (no perplexity is low enough), n > max_tsne_rows, or values that
///         are not finite; (interrupted).
TsneResult tsne(const Matrix& rows, const TsneOptions& options);

/// Venna and Kaski's (2001) trustworthiness: how far the k nearest neighbours of each point in the
/// embedding are among the nearest in the input space,
/// 1 − 2/(n·k·(2n − 3k − 1)) Σ_i Σ_j max(0, r(i, j) − k), j running over i's k neighbours in the
/// embedding, r(i, j) = 1 for i's nearest row of the input. Ties: the lower index is nearer.
/// @param rows [n, D] input; @param embedding [n, 2]; @param k ≥ 1, k < n/2.
double trustworthiness(const Matrix& rows, const Matrix& embedding, int k, int n_threads = 1,
                       const std::atomic<bool>* stop = nullptr);

}  // namespace moexray::stats
