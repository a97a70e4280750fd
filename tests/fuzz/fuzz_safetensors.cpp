// Any bytes as a safetensors file: either an Error, or a header whose tensors all lie inside the
// file.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "moexray/checkpoint/safetensors.h"
#include "moexray/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto file = std::as_bytes(std::span(data, size));
    const moexray::SafetensorsHeader header =
        moexray::parse_safetensors_header(file, "fuzz.safetensors");
    std::uint64_t end = header.data_offset;
    for (const moexray::SafetensorsEntry& entry : header.tensors) {
      if (header.data_offset + entry.begin != end || entry.end < entry.begin) std::abort();
      end = header.data_offset + entry.end;
    }
    if (end != size) std::abort();
  } catch (const moexray::Error&) {
  }
  return 0;
}
