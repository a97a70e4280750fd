#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "moexray/core/file.h"

namespace moexray::report {

/// The header of a version 1.0 `.npy` file that holds little-endian doubles, [rows, cols], row by
/// row. Its length is a multiple of 64.
std::string npy_header(std::size_t n_rows, std::size_t n_cols);

/// A `.npy` file that is written row by row, for matrices that are not to be held in memory. It
/// appears when it is complete.
class NpyWriter {
 public:
  /// @throws Error (runtime) with the system's reason, as the others do.
  NpyWriter(const std::filesystem::path& path, std::size_t n_rows, std::size_t n_cols);
  /// @param values the next rows, row by row.
  void append(std::span<const double> values);
  /// @throws Error (runtime) too if values are missing or too many.
  void commit();

 private:
  std::filesystem::path path_;
  AtomicFile file_;
  std::size_t n_expected_;
  std::size_t n_written_ = 0;
};

/// Writes a matrix as `.npy`; replaces a file that is there.
/// @param values [n_rows · n_cols], row by row.
/// @throws Error (runtime) with the system's reason.
void write_npy(const std::filesystem::path& path, std::span<const double> values,
               std::size_t n_rows, std::size_t n_cols);

}  // namespace moexray::report
