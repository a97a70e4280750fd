#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/units.h"
#include "unit_pairs.h"

namespace moexray::stats {

/// The probability that a pair within a category is more similar than a pair across, by resample,
/// and what it is without one copy of each unit. The pairs are sorted once; a resample then is one
/// sweep over them.
class PairAuc {
 public:
  /// Resamples that are swept together.
  static constexpr std::size_t n_lanes = 8;
  using Lanes = std::array<double, n_lanes>;

  /// @param similarity [n, n]
  PairAuc(const Matrix& similarity, const CategoryIndex& categories, const Units& units,
          InnerPairs inner = InnerPairs::keep);

  /// Counts of (within, across) pairs of pairs. All are whole or half numbers and exact in a
  /// double.
  struct Sweep {
    Lanes concordant{};  ///< Σ w·w′·(1 if the within pair is more similar, ½ if equal)
    /// [units] what of it goes when one copy of the unit goes; 0 for a weight of 0
    std::vector<Lanes> lost;
    Lanes n_within{};  ///< weighted pairs
    Lanes n_across{};
    std::vector<Lanes> within_lost;  ///< [units]
    std::vector<Lanes> across_lost;
  };

  /// @param weights [units] how often each unit is there
  Sweep sweep(const std::vector<Lanes>& weights) const;

 private:
  struct Pair {
    std::int64_t key;  // the similarity to 12 decimals
    std::uint32_t unit;
    std::uint32_t other;
    bool operator<(const Pair& right) const;
  };
  class State;

  std::size_t n_units_;
  // Ascending; within a run of equal keys the across pairs first.
  std::vector<Pair> pairs_;
};

}  // namespace moexray::stats
