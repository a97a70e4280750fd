#include "batched_integers.h"

namespace moexray::stats {

BatchedIntegers::BatchedIntegers(std::vector<std::uint64_t> bounds) : bounds_(std::move(bounds)) {
  // A product far below 2⁶⁴ is rarely rejected.
  constexpr std::uint64_t max_product = std::uint64_t{1} << 58;
  std::size_t i = 0;
  while (i < bounds_.size()) {
    std::uint64_t product = bounds_[i];
    std::size_t size = 1;
    while (size < max_batch && i + size < bounds_.size() &&
           product <= max_product / bounds_[i + size]) {
      product *= bounds_[i + size++];
    }
    batches_.push_back({size, (0 - product) % product});
    i += size;
  }
}

std::vector<std::uint64_t> PartialShuffle::step_bounds(std::size_t n, std::size_t n_drawn) {
  std::vector<std::uint64_t> bounds;
  for (std::size_t i = 0; i < n_drawn; ++i) bounds.push_back(n - i);
  return bounds;
}

}  // namespace moexray::stats
