#include "moexray/report/npy.h"

#include <bit>

#include "moexray/core/error.h"

namespace moexray::report {

static_assert(std::endian::native == std::endian::little,
              "npy files are written as the memory lies");

std::string npy_header(std::size_t n_rows, std::size_t n_cols) {
  std::string dictionary = "{'descr': '<f8', 'fortran_order': False, 'shape': (" +
                           std::to_string(n_rows) + ", " + std::to_string(n_cols) + "), }";
  constexpr std::size_t prefix_bytes = 10;
  while ((prefix_bytes + dictionary.size() + 1) % 64 != 0) dictionary += ' ';
  dictionary += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(dictionary.size() & 0xFF);
  header += static_cast<char>(dictionary.size() >> 8);
  return header + dictionary;
}

NpyWriter::NpyWriter(const std::filesystem::path& path, std::size_t n_rows, std::size_t n_cols)
    : path_(path), file_(path), n_expected_(n_rows * n_cols) {
  file_.write(npy_header(n_rows, n_cols));
}

void NpyWriter::append(std::span<const double> values) {
  file_.write(std::as_bytes(values));
  n_written_ += values.size();
}

void NpyWriter::commit() {
  if (n_written_ != n_expected_) {
    throw Error(ErrorKind::runtime,
                {"matrix", path_.string(), std::to_string(n_expected_) + " values",
                 std::to_string(n_written_)});
  }
  file_.commit();
}

void write_npy(const std::filesystem::path& path, std::span<const double> values,
               std::size_t n_rows, std::size_t n_cols) {
  NpyWriter file(path, n_rows, n_cols);
  file.append(values);
  file.commit();
}

}  // namespace moexray::report
