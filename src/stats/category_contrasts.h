#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/units.h"

namespace moexray::stats {

/// t of every category against all others, for many columns (experts) at once and for one labelling
/// after another: a relabelling costs two additions a row and column.
class CategoryContrasts {
 public:
  /// What t_values() works in, so that it need not be made anew for each labelling.
  struct Scratch {
    Matrix sums;      // [K, columns] Σ A
    Matrix squares;   // Σ A²
    Matrix products;  // Σ A·T; empty if all T are equal
  };

  /// @param counts [n, D] selections of every prompt
  /// @param n_tokens of every prompt
  CategoryContrasts(const CountMatrix& counts, std::int64_t n_tokens, const Units& units,
                    std::size_t n_categories);

  Eigen::Index n_columns() const { return values_.cols(); }

  /// The labels of what labels are exchanged between: units, or prompts where units hold several
  /// categories. [rows]
  std::vector<int> row_labels(std::span<const int> labels_of_prompts) const;

  /// t = (π_c − π_others) / √(V_c + V_others), rates and variances as in clustered_rate(), but each
  /// variance at least what the pooled one s² = (Σ_c r² + Σ_others r²)/(n − 2) of the residuals r
  /// gives, n_c s²/T_c²: the few units of a category may be alike by chance, and a t that is large
  /// for that reason alone hides others. 0 where rates are equal, infinite where they differ
  /// without any variance.
  /// @param labels [rows]
  /// @param t [K, n] of the n columns from `first` on
  void t_values(std::span<const int> labels, Eigen::Index first, Eigen::Index n, Scratch& scratch,
                Matrix& t) const;

 private:
  // Of the rows of one label.
  struct Sizes {
    double n = 0;
    double tokens = 0;
    double token_squares = 0;
  };

  void sum_up(std::span<const int> labels, Eigen::Index first, Eigen::Index n,
              Scratch& scratch) const;

  std::size_t n_categories_;
  bool equal_tokens_ = true;         // all rows have the same number
  std::vector<std::size_t> prompt_;  // [rows] one of each row's prompts
  Vector tokens_;                    // [rows] T
  Matrix values_;  // [rows, D] A, less its unit's mean if labels move inside units
  Matrix squares_;
  Matrix products_;  // A·T; empty if all T are equal
};

}  // namespace moexray::stats
