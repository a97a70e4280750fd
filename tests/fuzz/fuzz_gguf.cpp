// Any bytes as a GGUF file: either an Error, or tensors that can be read.

#include <cstddef>
#include <cstdint>
#include <string>

#include "moexray/core/error.h"
#include "trace/importers/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string file(reinterpret_cast<const char*>(data), size);
  try {
    const moexray::imports::GgufFile gguf = moexray::imports::parse_gguf(file, "fuzz.gguf");
    for (const auto& tensor : gguf.tensors) {
      if (tensor.is_f32) moexray::imports::GgufFile::values(tensor, file);
    }
  } catch (const moexray::Error&) {
  }
  return 0;
}
