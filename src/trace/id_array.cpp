#include "id_array.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace moexray::trace {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are read as the memory lies");

template <typename T>
void copy_row(const char* from, std::int64_t stride, std::span<std::int32_t> out) {
  using Limits = std::numeric_limits<std::int32_t>;
  for (std::int32_t& id : out) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    if constexpr (sizeof(T) < 4) {
      id = static_cast<std::int32_t>(value);
    } else if (std::cmp_greater(value, Limits::max())) {
      id = Limits::max();
    } else {
      id = std::cmp_less(value, Limits::min()) ? Limits::min() : static_cast<std::int32_t>(value);
    }
    from += stride * static_cast<std::int64_t>(sizeof(T));
  }
}

}  // namespace

std::size_t item_bytes(Item item) {
  switch (item) {
    case Item::u8:
    case Item::i8:
      return 1;
    case Item::u16:
    case Item::i16:
      return 2;
    case Item::u32:
    case Item::i32:
    case Item::f32:
      return 4;
    case Item::u64:
    case Item::i64:
    case Item::f64:
      break;
  }
  return 8;
}

bool is_float(Item item) { return item == Item::f32 || item == Item::f64; }

std::string name_of(Item item) {
  constexpr std::array names{"uint8", "int8",   "uint16", "int16",   "uint32",
                             "int32", "uint64", "int64",  "float32", "float64"};
  return names[static_cast<std::size_t>(item)];
}

IdArray::IdArray(std::string bytes, Item item, const std::array<std::int64_t, 3>& shape,
                 const std::array<int, 3>& axes, bool is_fortran, std::size_t offset)
    : bytes_(std::move(bytes)), item_(item), offset_(offset) {
  std::array<std::int64_t, 3> strides{shape[1] * shape[2], shape[2], 1};
  if (is_fortran) strides = {1, shape[0], shape[0] * shape[1]};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto axis = static_cast<std::size_t>(axes[i]);
    shape_[i] = shape[axis];
    strides_[i] = strides[axis];
  }
}

void IdArray::row(std::int64_t token, std::int64_t layer, std::span<std::int32_t> out) const {
  const auto at = static_cast<std::size_t>(token * strides_[0] + layer * strides_[1]);
  const char* from = bytes_.data() + offset_ + at * item_bytes(item_);
  switch (item_) {
    case Item::u8:
      return copy_row<std::uint8_t>(from, strides_[2], out);
    case Item::i8:
      return copy_row<std::int8_t>(from, strides_[2], out);
    case Item::u16:
      return copy_row<std::uint16_t>(from, strides_[2], out);
    case Item::i16:
      return copy_row<std::int16_t>(from, strides_[2], out);
    case Item::u32:
      return copy_row<std::uint32_t>(from, strides_[2], out);
    case Item::i32:
      return copy_row<std::int32_t>(from, strides_[2], out);
    case Item::u64:
      return copy_row<std::uint64_t>(from, strides_[2], out);
    case Item::i64:
      return copy_row<std::int64_t>(from, strides_[2], out);
    case Item::f32:
    case Item::f64:
      break;
  }
  std::fill(out.begin(), out.end(), -1);  // not ids: readers refuse such arrays
}

}  // namespace moexray::trace
