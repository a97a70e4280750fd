#include "bf16_kernels.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "row_kernels.h"

namespace moexray::kernels {
namespace {

std::uint32_t rounded_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = bits + 0x7FFFU + ((bits >> 16) & 1U);
  return (bits & 0x7FFFFFFFU) > 0x7F800000U ? bits | 0x400000U : rounded;
}

// Rows are widened block by block, into a buffer that stays in the second-level cache.
template <const RowKernels& set>
void linear_widened(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
                    const std::uint16_t* w, std::int64_t n_out, float* y, bool /*near*/) {
  constexpr std::int64_t block = 32;
  thread_local std::vector<float> wide;
  for (std::int64_t r = 0; r < n_rows; r += block) {
    const std::int64_t n = std::min(block, n_rows - r);
    wide.resize(static_cast<std::size_t>(n * n_in));
    for (std::int64_t i = 0; i < n * n_in; ++i) {
      wide[static_cast<std::size_t>(i)] =
          std::bit_cast<float>(static_cast<std::uint32_t>(x[r * n_in + i]) << 16);
    }
    set.linear_bf16(wide.data(), n, n_in, w, 0, n_out, n_out, y + r * n_out);
  }
}

std::vector<Bf16Kernels> find_usable_sets() {
  std::vector<Bf16Kernels> sets;
#if defined(__x86_64__)
  const bool avx512 = &row_kernels() == &row_kernels_avx512;
  if (avx512 && __builtin_cpu_supports("avx512bf16")) {
    sets.push_back({"avx512_bf16", linear_avx512_bf16});
  }
  if (avx512) sets.push_back({"avx512", linear_widened<row_kernels_avx512>});
  if (avx512 || &row_kernels() == &row_kernels_avx2) {
    sets.push_back({"avx2", linear_widened<row_kernels_avx2>});
  }
#endif
  sets.push_back({"portable", linear_widened<row_kernels_portable>});
  return sets;
}

const Bf16Kernels& choose_set() {
  const std::span<const Bf16Kernels> sets = usable_bf16_kernels();
  const char* wanted = std::getenv("MOEXRAY_KERNEL_SET");
  for (const Bf16Kernels& set : sets) {
    if (wanted != nullptr && std::string_view(wanted) == set.instruction_set) return set;
  }
  return sets.front();
}

}  // namespace

std::span<const Bf16Kernels> usable_bf16_kernels() {
  static const std::vector<Bf16Kernels> sets = find_usable_sets();
  return sets;
}

const Bf16Kernels& bf16_kernels() {
  static const Bf16Kernels& set = choose_set();
  return set;
}

void round_to_bf16(const float* x, std::int64_t n, std::uint16_t* out) {
  for (std::int64_t i = 0; i < n; ++i)
    out[i] = static_cast<std::uint16_t>(rounded_bits(x[i]) >> 16);
}

void round_through_bf16(float* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] = std::bit_cast<float>(rounded_bits(x[i]) & 0xFFFF0000U);
  }
}

}  // namespace moexray::kernels
