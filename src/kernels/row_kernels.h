#pragma once

#include <cstdint>

#include "weights.h"

namespace moexray::kernels {

/// Loops over float32 rows whose results depend on nothing but the row itself: every sum runs over
/// 16 fixed lanes that are added up in one fixed order at the end. A row therefore gives the same
/// bits alone or in a batch, on one thread or many. The set is compiled once per instruction set
/// and chosen at run time; sets with fused multiply-add give the same bits as each other.
struct RowKernels {
  const char* instruction_set;
  /// Sets with the same words here give the same bits: "float32-fma" or "float32-portable".
  const char* bits;

  /// y[r, j] = Σ_i x[r, i] · w[j, i] + bias[j] for all r < n_rows and first ≤ j < last.
  /// x [n_rows, n_in], w [n_out, n_in] of either format, y [n_rows, n_out]. Weights in bfloat16 are
  /// widened exactly. Nothing beyond n_in is read of a row of w.
  void (*linear)(const float* x, std::int64_t n_rows, std::int64_t n_in, const Weights& w,
                 std::int64_t first, std::int64_t last, std::int64_t n_out, float* y);
  /// Σ_i a[i] · b[i].
  float (*dot)(const float* a, const float* b, std::int64_t n);
  /// y[i] += a · x[i], x float32 or bfloat16.
  void (*axpy_f32)(float a, const float* x, float* y, std::int64_t n);
  void (*axpy_bf16)(float a, const std::uint16_t* x, float* y, std::int64_t n);
  /// y[r, i] += Σ_t a[r, t] · v[t, i] for t = 0, 1, … n − 1 in this order, as n calls of axpy_bf16
  /// would; a [n_rows, a_stride], v [n, d] and y [n_rows, d].
  void (*combine_bf16)(const float* a, std::int64_t n_rows, std::int64_t a_stride,
                       const std::uint16_t* v, std::int64_t n, std::int64_t d, float* y);
  /// max_i x[i] for n ≥ 1.
  float (*max)(const float* x, std::int64_t n);
  /// rank[i] = how many of the n values come before x[i] when they are sorted, the largest first
  /// and of equal ones the first in front. False, and no ranks, if one is NaN. Takes n² / lanes
  /// steps.
  bool (*ranks)(const float* x, std::int64_t n, std::int32_t* rank);
  /// x[i] = exp(x[i] − shift); returns their sum.
  float (*exp_sum)(float* x, std::int64_t n, float shift);
  /// out[i] = silu(gate[i]) · up[i], silu(z) = z / (1 + exp(−z)).
  void (*silu_mul)(const float* gate, const float* up, std::int64_t n, float* out);
  /// sigmoid[i] = 1 / (1 + exp(−z[i])).
  void (*sigmoid)(const float* z, std::int64_t n, float* sigmoid);
};

extern const RowKernels row_kernels_portable;
extern const RowKernels row_kernels_avx2;
extern const RowKernels row_kernels_avx512;

/// The best set this processor runs.
const RowKernels& row_kernels();

}  // namespace moexray::kernels
