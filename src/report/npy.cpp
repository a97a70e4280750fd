#include "moexray/report/npy.h"

#include <array>
#include <cstdint>

#include "moexray/core/error.h"
#include "moexray/core/npy.h"

namespace moexray::report {

std::string npy_header(std::size_t n_rows, std::size_t n_cols) {
  const std::array shape{static_cast<std::int64_t>(n_rows), static_cast<std::int64_t>(n_cols)};
  return moexray::npy_header("<f8", shape);
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
