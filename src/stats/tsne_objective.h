#pragma once

#include <cstdint>
#include <vector>

#include "moexray/stats/matrix.h"
#include "neighbors.h"

namespace moexray::stats {

/// The joint probabilities p_ij of t-SNE as a sparse symmetric matrix in compressed rows, columns
/// ascending. They sum to 1; what is not stored is 0.
struct InputSimilarities {
  std::vector<std::int64_t> row_starts;  ///< [n + 1]
  std::vector<std::int32_t> columns;
  std::vector<double> values;

  Eigen::Index size() const { return static_cast<Eigen::Index>(row_starts.size()) - 1; }
};

/// p_ij = (p_{j|i} + p_{i|j}) / 2n with p_{j|i} ∝ exp(−β_i d_ij²) over the neighbours j of i, β_i
/// such that the entropy of p_{·|i} is log(perplexity) (van der Maaten and Hinton 2008, equations 1
/// and 2). With more than `perplexity` neighbours at the smallest distance that entropy cannot be
/// reached: they share the probability evenly.
/// @param perplexity in [1, neighbors.k].
InputSimilarities input_similarities(const Neighbors& neighbors, double perplexity);

/// What t-SNE minimises: KL(P‖Q) = Σ p_ij log(p_ij / q_ij), q_ij = w_ij / Z,
/// w_ij = 1 / (1 + ‖y_i − y_j‖²), Z = Σ_{i≠j} w_ij.
class TsneObjective {
 public:
  /// @param similarities is referred to, not copied. @param n_threads does not change results.
  TsneObjective(const InputSimilarities& similarities, int n_threads)
      : p_(similarities), n_threads_(n_threads) {}

  /// ∂KL/∂y_i = 4 Σ_j (a·p_ij − q_ij) w_ij (y_i − y_j), the input similarities multiplied by
  /// a = `exaggeration`. Attraction in double precision; repulsion over all pairs in single
  /// precision.
  /// @param y [n, 2]; @param gradient [n, 2] out. @return Z, in single precision.
  double gradient(const Matrix& y, double exaggeration, Matrix& gradient) const;

  /// Z in double precision.
  double normalizer(const Matrix& y) const;

  /// KL(P‖Q) for the Z of these positions.
  double divergence(const Matrix& y, double z) const;

 private:
  const InputSimilarities& p_;
  int n_threads_;
};

}  // namespace moexray::stats
