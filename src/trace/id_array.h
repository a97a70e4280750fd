#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

namespace moexray::trace {

/// How an element of an array is stored, little-endian.
enum class Item : std::uint8_t { u8, i8, u16, i16, u32, i32, u64, i64, f32, f64 };

std::size_t item_bytes(Item item);
bool is_float(Item item);
/// "uint8", …
std::string name_of(Item item);

/// Integers [tokens, layers, k], kept as a source gives them: in its type, and in its order of
/// axes.
class IdArray {
 public:
  IdArray() = default;
  /// @param bytes row-major in the source's axes; their number is that of the shape
  /// @param shape of the source's axes
  /// @param axes which source axis is token, layer and slot
  /// @param offset of the first element in `bytes`
  IdArray(std::string bytes, Item item, const std::array<std::int64_t, 3>& shape,
          const std::array<int, 3>& axes = {0, 1, 2}, bool is_fortran = false,
          std::size_t offset = 0);

  std::int64_t n_tokens() const { return shape_[0]; }
  std::int64_t n_layers() const { return shape_[1]; }
  std::int64_t top_k() const { return shape_[2]; }
  Item item() const { return item_; }

  /// The ids of a token at a layer, [k]. What 32 bits do not hold becomes the nearest that they do.
  void row(std::int64_t token, std::int64_t layer, std::span<std::int32_t> out) const;

 private:
  std::string bytes_;
  Item item_ = Item::u8;
  std::size_t offset_ = 0;
  std::array<std::int64_t, 3> shape_{};
  std::array<std::int64_t, 3> strides_{};  // in elements
};

}  // namespace moexray::trace
