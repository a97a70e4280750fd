#include <bit>

#include "kernel_sets.h"

namespace moexray::kernels {
namespace {

std::uint32_t rounded_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = bits + 0x7FFFU + ((bits >> 16) & 1U);
  return (bits & 0x7FFFFFFFU) > 0x7F800000U ? bits | 0x400000U : rounded;
}

}  // namespace

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
