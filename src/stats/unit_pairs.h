#pragma once

#include <cstddef>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/units.h"

namespace moexray::stats {

/// Number, sum and sum of squares of a set of similarities, all measured from a common shift.
struct PairMoments {
  double n = 0;
  double sum = 0;
  double squares = 0;

  PairMoments& operator+=(const PairMoments& other) {
    n += other.n;
    sum += other.sum;
    squares += other.squares;
    return *this;
  }
  PairMoments& operator-=(const PairMoments& other) {
    n -= other.n;
    sum -= other.sum;
    squares -= other.squares;
    return *this;
  }
  friend PairMoments operator*(double factor, const PairMoments& m) {
    return {factor * m.n, factor * m.sum, factor * m.squares};
  }
};

/// What the pairs of one category, or of two, add up to.
struct PairTotals {
  PairMoments within;
  PairMoments across;
  std::vector<PairMoments> cells;  ///< [K·K] of categories a ≤ b at a·K + b
};

/// Whether pairs of prompts inside a unit count.
enum class InnerPairs { keep, leave_out };

/// The prompts of one unit that have one category. Without groups: a prompt.
struct UnitPart {
  int unit = 0;
  int category = 0;
  std::vector<std::size_t> rows;
};

/// Pair sums of units: what resamples of units are computed from.
class UnitPairs {
 public:
  /// @param similarity [n, n]
  UnitPairs(const Matrix& similarity, const CategoryIndex& categories, const Units& units,
            InnerPairs inner = InnerPairs::keep);

  std::size_t n_units() const { return parts_of_unit_.size(); }
  int n_categories() const { return n_categories_; }
  double shift() const { return shift_; }
  const std::vector<UnitPart>& parts() const { return parts_; }  ///< by category, then unit

  /// Several weightings of the units at once.
  class Weighted {
   public:
    /// @param weights [units, B] how often each unit is there
    Weighted(const UnitPairs& pairs, const Eigen::MatrixXd& weights);

    PairTotals totals(Eigen::Index weighting) const;
    /// What goes when one copy of a unit goes: added to `totals` (within, across, and the cells
    /// named in `touched`, which must be zero before).
    void one_copy(Eigen::Index weighting, std::size_t unit, PairTotals& totals,
                  std::vector<std::size_t>& touched) const;

   private:
    std::size_t cell(int a, int b) const;

    const UnitPairs& pairs_;
    const Eigen::MatrixXd& weights_;
    Eigen::MatrixXd n_prompts_;             // [K, B] prompts of every category
    std::vector<Eigen::MatrixXd> sums_;     // [K] of [parts, B]: with the other units' prompts
    std::vector<Eigen::MatrixXd> squares_;  // of a category
  };

 private:
  struct InnerCell {
    std::size_t cell = 0;
    PairMoments moments;
  };

  void add_inner_pairs(const Matrix& similarity, std::size_t unit);

  int n_categories_;
  double shift_ = 0;
  std::vector<UnitPart> parts_;
  std::vector<Eigen::Index> first_of_category_;           // [K + 1] parts
  std::vector<std::vector<Eigen::Index>> parts_of_unit_;  // [units]
  std::vector<std::vector<InnerCell>> inner_;             // [units] pairs inside a unit
  Eigen::MatrixXd sums_;                                  // [parts, parts], 0 inside a unit
  Eigen::MatrixXd squares_;
};

}  // namespace moexray::stats
