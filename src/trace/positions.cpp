#include "moexray/trace/positions.h"

namespace moexray {

std::int64_t n_positions(std::span<const PositionRange> ranges) {
  std::int64_t n = 0;
  for (const PositionRange& range : ranges) n += range.last - range.first + 1;
  return n;
}

std::int64_t index_of_position(std::span<const PositionRange> ranges, std::int64_t pos) {
  std::int64_t before = 0;
  for (const PositionRange& range : ranges) {
    if (pos < range.first) return -1;
    if (pos <= range.last) return before + pos - range.first;
    before += range.last - range.first + 1;
  }
  return -1;
}

std::int64_t position_at(std::span<const PositionRange> ranges, std::int64_t index) {
  for (const PositionRange& range : ranges) {
    const std::int64_t n = range.last - range.first + 1;
    if (index < n) return range.first + index;
    index -= n;
  }
  return -1;
}

bool are_in_order(std::span<const PositionRange> ranges) {
  std::int64_t least = 0;
  for (const PositionRange& range : ranges) {
    if (range.first < least || range.last < range.first) return false;
    least = range.last + 2;
  }
  return true;
}

}  // namespace moexray
