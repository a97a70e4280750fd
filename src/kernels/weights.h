#pragma once

#include <cstdint>

namespace moexray::kernels {

/// How the values of a matrix are stored.
enum class WeightFormat { bfloat16, float32 };

/// A matrix w [n_out, n_in] and its bias where they lie in memory: a tensor of a checkpoint, or the
/// part of a wider or fused one.
struct Weights {
  const void* data = nullptr;   ///< w[0, 0]
  std::int64_t row_stride = 0;  ///< values from a row to the next, at least n_in
  WeightFormat format = WeightFormat::bfloat16;
  const float* bias = nullptr;  ///< [n_out], added to the sums in float32; null: none
};

/// The rows of w from `first` on.
Weights rows_from(const Weights& w, std::int64_t first);

/// y[r, j] += bias[j] for j < n_columns, a row of y every n_out values. Null: nothing.
void add_bias(const float* bias, std::int64_t n_rows, std::int64_t n_columns, std::int64_t n_out,
              float* y);

}  // namespace moexray::kernels
