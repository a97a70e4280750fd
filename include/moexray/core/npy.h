#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace moexray {

/// The header of a version 1.0 `.npy` file: what stands before the numbers, which follow row by
/// row, little-endian.
/// @param type NumPy's name of the numbers: "<f8", "|u1", "<u2"
/// @param shape sizes of the axes, at least one
/// @param n_bytes at least so long, padded with blanks, so that another shape can take its place;
///        the length is a multiple of 64 either way
std::string npy_header(std::string_view type, std::span<const std::int64_t> shape,
                       std::size_t n_bytes = 64);

}  // namespace moexray
