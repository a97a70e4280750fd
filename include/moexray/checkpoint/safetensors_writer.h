#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace moexray {

/// A tensor to be written. `dtype` is a safetensors name: "F32", "BF16", "I64", "U64", "U8", …
struct TensorToWrite {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Writes a safetensors file under a temporary name, syncs it and renames it into place.
/// `metadata` goes into the header's `__metadata__`. Tensors are laid out in the order given; the
/// data section starts at a multiple of 64 bytes.
/// @throws Error (runtime) if writing fails; Error (data) on duplicate names or sizes that do not
/// agree.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace moexray
