#include "moexray/core/npy.h"

#include <bit>

namespace moexray {

static_assert(std::endian::native == std::endian::little,
              "npy files are written as the memory lies");

std::string npy_header(std::string_view type, std::span<const std::int64_t> shape,
                       std::size_t n_bytes) {
  std::string dictionary =
      "{'descr': '" + std::string(type) + "', 'fortran_order': False, 'shape': (";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    dictionary += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  dictionary += shape.size() == 1 ? ",), }" : "), }";
  constexpr std::size_t prefix_bytes = 10;
  while ((prefix_bytes + dictionary.size() + 1) % 64 != 0 ||
         prefix_bytes + dictionary.size() + 1 < n_bytes) {
    dictionary += ' ';
  }
  dictionary += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(dictionary.size() & 0xFF);
  header += static_cast<char>(dictionary.size() >> 8);
  return header + dictionary;
}

}  // namespace moexray
