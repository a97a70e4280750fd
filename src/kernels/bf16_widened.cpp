#include <algorithm>
#include <bit>
#include <vector>

#include "bf16_products.h"
#include "row_kernels.h"

namespace moexray::kernels {
namespace {

// Rows are widened block by block, into a buffer that stays in the second-level cache.
void linear_widened(const RowKernels& set, const std::uint16_t* x, std::int64_t n_rows,
                    std::int64_t n_in, const Weights& w, std::int64_t n_out, float* y) {
  constexpr std::int64_t block = 32;
  thread_local std::vector<float> wide;
  for (std::int64_t r = 0; r < n_rows; r += block) {
    const std::int64_t n = std::min(block, n_rows - r);
    wide.resize(static_cast<std::size_t>(n * n_in));
    for (std::int64_t i = 0; i < n * n_in; ++i) {
      wide[static_cast<std::size_t>(i)] =
          std::bit_cast<float>(static_cast<std::uint32_t>(x[r * n_in + i]) << 16);
    }
    set.linear(wide.data(), n, n_in, w, 0, n_out, n_out, y + r * n_out);
  }
}

}  // namespace

#if defined(__x86_64__)
void linear_widened_avx512(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
                           const Weights& w, std::int64_t n_out, float* y, bool /*near*/) {
  linear_widened(row_kernels_avx512, x, n_rows, n_in, w, n_out, y);
}

#endif

void linear_widened_portable(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
                             const Weights& w, std::int64_t n_out, float* y, bool /*near*/) {
  linear_widened(row_kernels_portable, x, n_rows, n_in, w, n_out, y);
}

}  // namespace moexray::kernels
