#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace moexray::report {

/// The header of a version 1.0 `.npy` file that holds little-endian doubles, [rows, cols], row by
/// row. Its length is a multiple of 64.
std::string npy_header(std::size_t n_rows, std::size_t n_cols);

/// Writes a matrix as `.npy`; replaces a file that is there.
/// @param values [n_rows · n_cols], row by row.
/// @throws Error (runtime) with the system's reason.
void write_npy(const std::filesystem::path& path, std::span<const double> values,
               std::size_t n_rows, std::size_t n_cols);

}  // namespace moexray::report
