#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace moexray::imports {

/// What the head of a GGUF file says: the format of ggml and llama.cpp, versions 2 and 3,
/// little-endian.
struct GgufFile {
  struct Tensor {
    std::string name;
    std::vector<std::int64_t> sizes;  ///< ggml's order: the first changes fastest
    bool is_f32 = false;
    std::uint64_t begin = 0;  ///< in the file; of float32 also the end is inside the file
  };
  std::map<std::string, std::int64_t> integers;  ///< keys with whole numbers that 63 bits hold
  std::map<std::string, std::string> texts;      ///< keys with a text
  std::vector<Tensor> tensors;

  /// The numbers of a float32 tensor, all of them.
  static std::vector<float> values(const Tensor& tensor, std::string_view file);
};

/// Reads and checks the head. Every size is compared with what the file has before memory is
/// taken.
/// @param file all bytes of the file
/// @throws Error (data)
GgufFile parse_gguf(std::string_view file, const std::string& where);

}  // namespace moexray::imports
