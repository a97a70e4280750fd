#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "id_array.h"

namespace moexray::trace {

/// What the header of a `.npy` file says.
struct NpyHeader {
  Item item = Item::u8;
  bool is_fortran = false;
  std::vector<std::int64_t> shape;
  std::size_t data_offset = 0;
};

/// Reads and checks the header of a `.npy` file, versions 1 to 3: the three keys, each once, in
/// NumPy's own notation; the bytes behind it are exactly those that type and shape ask for. Object
/// arrays, structures and big-endian numbers are refused.
/// @param file all bytes of the file
/// @param where the file's name, for messages
/// @throws Error (data)
NpyHeader parse_npy(std::string_view file, const std::string& where);

/// An array of ids from a `.npy` file. @param axes which of its axes is token, layer and slot
/// @throws Error (data) as parse_npy() does, or if it has not three axes, or no integers.
IdArray npy_ids(std::string file, const std::string& where,
                const std::array<int, 3>& axes = {0, 1, 2});

/// "[157, 30, 6]".
std::string shape_text(const std::vector<std::int64_t>& shape);

}  // namespace moexray::trace
