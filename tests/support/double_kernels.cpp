#include "support/double_kernels.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace moexray::test {
namespace {

using kernels::WeightFormat;
using kernels::Weights;

constexpr std::int64_t group = 3, step = 5;

thread_local bool is_prepared = false;

bool runs_everywhere() { return true; }
bool takes_both(WeightFormat) { return true; }
void prepare() { is_prepared = true; }
void clean_up() { is_prepared = false; }

float widened(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

// Where x[r, i] lies: groups of rows one after the other, in each of them value by value.
std::int64_t place(std::int64_t r, std::int64_t i, std::int64_t n_in) {
  const std::int64_t width = (n_in + step - 1) / step * step;
  return r / group * group * width + i * group + r % group;
}

void pack(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in, std::uint16_t* packed) {
  for (std::int64_t r = 0; r < n_rows; ++r) {
    for (std::int64_t i = 0; i < n_in; ++i) packed[place(r, i, n_in)] = x[r * n_in + i];
  }
}

void linear(const std::uint16_t* packed, std::int64_t n_rows, std::int64_t n_in, const Weights& w,
            std::int64_t n_out, float* y, bool /*near*/) {
  if (!is_prepared) {
    std::fill_n(y, n_rows * n_out, std::numeric_limits<float>::quiet_NaN());
    return;
  }
  const auto weight = [&](std::int64_t j, std::int64_t i) {
    const std::int64_t at = j * w.row_stride + i;
    return w.format == WeightFormat::bfloat16
               ? widened(static_cast<const std::uint16_t*>(w.data)[at])
               : static_cast<const float*>(w.data)[at];
  };
  for (std::int64_t r = 0; r < n_rows; ++r) {
    for (std::int64_t j = 0; j < n_out; ++j) {
      float sum = 0;
      for (std::int64_t i = 0; i < n_in; ++i) {
        sum += widened(packed[place(r, i, n_in)]) * weight(j, i);
      }
      y[r * n_out + j] = w.bias == nullptr ? sum : sum + w.bias[j];
    }
  }
}

constexpr kernels::KernelSet naive_table[] = {{"naive", "bf16-naive", runs_everywhere, takes_both,
                                               prepare, clean_up, group, step, 2 * group, pack,
                                               linear}};

}  // namespace

std::span<const kernels::KernelSet> double_kernels() { return naive_table; }

}  // namespace moexray::test
