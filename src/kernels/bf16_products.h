#pragma once

#include <cstdint>

#include "weights.h"

namespace moexray::kernels {

// The functions of the sets in kernel_sets.cpp; each as KernelSet describes it.

void linear_avx512_bf16(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
                        const Weights& w, std::int64_t n_out, float* y, bool near);

void linear_avx2_bf16(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
                      const Weights& w, std::int64_t n_out, float* y, bool near);

/// Widened to float32 and multiplied by the row kernels of that name.
void linear_widened_avx512(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
                           const Weights& w, std::int64_t n_out, float* y, bool near);
void linear_widened_portable(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
                             const Weights& w, std::int64_t n_out, float* y, bool near);

/// Rows of x and of w that a tile holds, and values of each that one instruction multiplies.
inline constexpr std::int64_t amx_rows = 16, amx_step = 32;

void enter_amx();
void leave_amx();
/// Groups of 16 rows, zeros after the last; of each group steps of 32 values, zeros after the last;
/// of each step 16 pairs of values, of each pair all rows: one tile of 1 KB, contiguous.
void pack_amx(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
              std::uint16_t* packed);
void linear_amx_bf16(const std::uint16_t* packed, std::int64_t n_rows, std::int64_t n_in,
                     const Weights& w, std::int64_t n_out, float* y, bool near);

}  // namespace moexray::kernels
