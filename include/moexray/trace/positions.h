#pragma once

#include <cstdint>
#include <span>

namespace moexray {

/// Positions first … last of a sequence, both included.
struct PositionRange {
  std::int64_t first = 0;
  std::int64_t last = 0;

  bool operator==(const PositionRange&) const = default;
};

/// How many positions some ranges hold. The ranges ascend and do not touch, here and below.
std::int64_t n_positions(std::span<const PositionRange> ranges);

/// Which of the positions `pos` is, from 0; −1 if it is none of them.
std::int64_t index_of_position(std::span<const PositionRange> ranges, std::int64_t pos);

/// The position with an index below n_positions().
std::int64_t position_at(std::span<const PositionRange> ranges, std::int64_t index);

/// True if ranges are in order: 0 ≤ first ≤ last, each range behind the last, with a gap between.
bool are_in_order(std::span<const PositionRange> ranges);

}  // namespace moexray
