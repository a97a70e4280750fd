#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/file.h"

namespace moexray {

/// The largest header the format allows, in bytes.
inline constexpr std::uint64_t max_safetensors_header_bytes = 100'000'000;

/// Bits of one element of a safetensors dtype ("F32" → 32, "F4" → 4), nothing for an unknown name.
std::optional<int> bits_of_dtype(std::string_view dtype);

/// A tensor as a safetensors header describes it.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;                ///< as in the file: "F32", "BF16", "I64", "U8", …
  std::vector<std::int64_t> shape;  ///< empty: a scalar; no negative sizes
  std::uint64_t begin = 0;          ///< first byte, counted from the start of the data section
  std::uint64_t end = 0;            ///< one past the last byte
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> tensors;        ///< ordered by `begin`
  std::map<std::string, std::string> metadata;  ///< `__metadata__`
  std::uint64_t data_offset = 0;                ///< where the data section starts in the file
};

/// Parses and checks the header of a safetensors file: an 8-byte little-endian length, then JSON.
/// Afterwards every tensor's bytes [data_offset + begin, data_offset + end) lie inside `file`,
/// their number is what dtype and shape say, and together the tensors cover the data section
/// without gap or overlap.
/// @param file all bytes of the file; only the header is read.
/// @param where the file's name, for messages.
/// @throws Error (data) if anything about the header is wrong, duplicate keys included.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, std::string_view where);

/// A memory-mapped safetensors file. Tensor bytes may have any alignment: the format aligns the
/// data section only by custom.
class SafetensorsFile {
 public:
  /// @throws Error (data) as parse_safetensors_header does, or if the file cannot be read.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const SafetensorsHeader& header() const { return header_; }
  /// The entry of that name, or null.
  const SafetensorsEntry* find(std::string_view name) const;
  /// @throws Error (data) if there is no tensor of that name.
  const SafetensorsEntry& at(std::string_view name) const;
  /// A tensor's bytes: row-major, little-endian. Valid as long as the file object.
  std::span<const std::byte> bytes(const SafetensorsEntry& entry) const;

 private:
  MappedFile file_;
  SafetensorsHeader header_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

}  // namespace moexray
