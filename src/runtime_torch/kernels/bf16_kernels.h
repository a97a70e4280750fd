#pragma once

#include <cstdint>
#include <span>

namespace moexray::kernels {

/// Products of bfloat16 rows with bfloat16 matrices where both lie in memory (bit patterns, row
/// major), summed in float32 over fixed lanes in a fixed order: a value depends on its row and its
/// weights alone, neither on the other rows nor on the number of threads.
struct Bf16Kernels {
  /// "avx512_bf16": pairs are multiplied and added by vdpbf16ps. Otherwise the set of
  /// row_kernels.h whose float32 arithmetic is used, after widening both sides.
  const char* instruction_set;

  /// y[r, j] = Σ_i x[r, i] · w[j, i]; x [n_rows, n_in], w [n_out, n_in], y [n_rows, n_out].
  /// `near` says that w has been used a moment ago: memory beyond it is not fetched in advance.
  void (*linear)(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
                 const std::uint16_t* w, std::int64_t n_out, float* y, bool near);
};

/// The sets that this processor runs, best first; the last one is portable.
std::span<const Bf16Kernels> usable_bf16_kernels();

/// The best set this processor runs, or the one that the environment variable MOEXRAY_KERNEL_SET
/// names, if the processor runs it.
const Bf16Kernels& bf16_kernels();

/// Rounds to nearest, ties to even; NaN stays NaN.
void round_to_bf16(const float* x, std::int64_t n, std::uint16_t* out);
/// The same, back in float32.
void round_through_bf16(float* x, std::int64_t n);

void linear_avx512_bf16(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
                        const std::uint16_t* w, std::int64_t n_out, float* y, bool near);

}  // namespace moexray::kernels
