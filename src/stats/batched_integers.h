#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "moexray/core/random.h"

namespace moexray::stats {

/// A fixed list of bounds, drawn from again and again: uniform integers, as many as fit made of one
/// random word and still without bias (Brackett-Rozinsky and Lemire, Batched Ranged Random Integer
/// Generation, 2024).
class BatchedIntegers {
 public:
  /// @param bounds all positive.
  explicit BatchedIntegers(std::vector<std::uint64_t> bounds);

  /// Calls take(i, value) for every bound in turn, value uniform in {0, …, bounds[i] − 1}.
  template <typename Take>
  void draw(RandomStream& random, Take take) const {
    __extension__ using Wide = unsigned __int128;
    std::array<std::size_t, max_batch> values;
    std::size_t first = 0;
    for (const Batch& batch : batches_) {
      std::uint64_t word = 0;
      do {
        word = random();
        for (std::size_t j = 0; j < batch.size; ++j) {
          const Wide product = static_cast<Wide>(word) * bounds_[first + j];
          values[j] = static_cast<std::size_t>(product >> 64);
          word = static_cast<std::uint64_t>(product);
        }
      } while (word < batch.n_rejected);
      for (std::size_t j = 0; j < batch.size; ++j) take(first + j, values[j]);
      first += batch.size;
    }
  }

 private:
  static constexpr std::size_t max_batch = 16;
  struct Batch {
    std::size_t size;
    std::uint64_t n_rejected;  // 2⁶⁴ mod the product of the bounds
  };
  std::vector<std::uint64_t> bounds_;
  std::vector<Batch> batches_;
};

/// Random selections: brings `n_drawn` of `n` items to the front, every ordered selection equally
/// likely, whatever order they had before (the first steps of Fisher and Yates' shuffle).
class PartialShuffle {
 public:
  PartialShuffle(std::size_t n, std::size_t n_drawn) : steps_(step_bounds(n, n_drawn)) {}

  /// @param items [n]
  template <typename Item>
  void operator()(RandomStream& random, Item* items) const {
    steps_.draw(random, [items](std::size_t i, std::size_t offset) {
      std::swap(items[i], items[i + offset]);
    });
  }

 private:
  static std::vector<std::uint64_t> step_bounds(std::size_t n, std::size_t n_drawn);

  BatchedIntegers steps_;
};

}  // namespace moexray::stats
