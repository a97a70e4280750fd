#include "weights.h"

namespace moexray::kernels {

Weights rows_from(const Weights& w, std::int64_t first) {
  Weights rows = w;
  const std::int64_t skipped = first * w.row_stride;
  if (w.format == WeightFormat::bfloat16) {
    rows.data = static_cast<const std::uint16_t*>(w.data) + skipped;
  } else {
    rows.data = static_cast<const float*>(w.data) + skipped;
  }
  if (w.bias != nullptr) rows.bias = w.bias + first;
  return rows;
}

void add_bias(const float* bias, std::int64_t n_rows, std::int64_t n_columns, std::int64_t n_out,
              float* y) {
  if (bias == nullptr) return;
  for (std::int64_t r = 0; r < n_rows; ++r) {
    for (std::int64_t j = 0; j < n_columns; ++j) y[r * n_out + j] += bias[j];
  }
}

}  // namespace moexray::kernels
