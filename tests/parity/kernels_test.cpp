// The row kernels: against double-precision loops, and the instruction sets against each other.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/bf16_kernels.h"
#include "kernels/row_kernels.h"
#include "moexray/core/random.h"

namespace moexray::kernels {
namespace {

std::vector<float> random_values(std::size_t n, std::uint64_t seed) {
  RandomStream random(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

std::vector<std::uint16_t> to_bfloat16(const std::vector<float>& values) {
  std::vector<std::uint16_t> bits;
  for (const float value : values) {
    std::uint32_t word = 0;
    std::memcpy(&word, &value, sizeof word);
    bits.push_back(static_cast<std::uint16_t>(word >> 16));
  }
  return bits;
}

float from_bfloat16(std::uint16_t bits) {
  const std::uint32_t word = std::uint32_t{bits} << 16;
  float value = 0;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

std::vector<const RowKernels*> usable_sets() {
  std::vector<const RowKernels*> sets = {&row_kernels_portable};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    sets.push_back(&row_kernels_avx2);
  if (&row_kernels() == &row_kernels_avx512) sets.push_back(&row_kernels_avx512);
#endif
  return sets;
}

class RowKernelSets : public ::testing::TestWithParam<const RowKernels*> {};

TEST_P(RowKernelSets, LinearMatchesADoubleLoop) {
  for (const std::int64_t n_in : {1, 15, 16, 20, 96, 131}) {
    const std::int64_t n_rows = 7, n_out = 11;
    const auto x = random_values(static_cast<std::size_t>(n_rows * n_in), 1);
    const auto w = random_values(static_cast<std::size_t>(n_out * n_in), 2);
    const auto half = to_bfloat16(w);
    std::vector<float> y(static_cast<std::size_t>(n_rows * n_out)), z = y;
    GetParam()->linear_f32(x.data(), n_rows, n_in, w.data(), 0, n_out, n_out, y.data());
    GetParam()->linear_bf16(x.data(), n_rows, n_in, half.data(), 0, n_out, n_out, z.data());
    for (std::int64_t r = 0; r < n_rows; ++r) {
      for (std::int64_t j = 0; j < n_out; ++j) {
        double exact = 0, exact_half = 0;
        for (std::int64_t i = 0; i < n_in; ++i) {
          const double value = x[static_cast<std::size_t>(r * n_in + i)];
          exact += value * w[static_cast<std::size_t>(j * n_in + i)];
          exact_half += value * from_bfloat16(half[static_cast<std::size_t>(j * n_in + i)]);
        }
        EXPECT_NEAR(y[static_cast<std::size_t>(r * n_out + j)], exact, 2e-5) << n_in;
        EXPECT_NEAR(z[static_cast<std::size_t>(r * n_out + j)], exact_half, 2e-5) << n_in;
      }
    }
  }
}

TEST_P(RowKernelSets, LinearOfARowDoesNotDependOnOtherRowsOrOnTheSplit) {
  const std::int64_t n_rows = 13, n_in = 77, n_out = 10;
  const auto x = random_values(static_cast<std::size_t>(n_rows * n_in), 3);
  const auto w = random_values(static_cast<std::size_t>(n_out * n_in), 4);
  std::vector<float> together(static_cast<std::size_t>(n_rows * n_out)),
      alone(static_cast<std::size_t>(n_out));
  GetParam()->linear_f32(x.data(), n_rows, n_in, w.data(), 0, n_out, n_out, together.data());
  const auto half = to_bfloat16(w);
  auto half_together = together;
  GetParam()->linear_bf16(x.data(), n_rows, n_in, half.data(), 0, n_out, n_out,
                          half_together.data());
  for (std::int64_t r = 0; r < n_rows; ++r) {
    GetParam()->linear_f32(x.data() + r * n_in, 1, n_in, w.data(), 0, 3, n_out, alone.data());
    GetParam()->linear_f32(x.data() + r * n_in, 1, n_in, w.data(), 3, n_out, n_out, alone.data());
    EXPECT_EQ(std::memcmp(alone.data(), together.data() + r * n_out, alone.size() * sizeof(float)),
              0)
        << r;
    GetParam()->linear_bf16(x.data() + r * n_in, 1, n_in, half.data(), 0, 5, n_out, alone.data());
    GetParam()->linear_bf16(x.data() + r * n_in, 1, n_in, half.data(), 5, n_out, n_out,
                            alone.data());
    EXPECT_EQ(
        std::memcmp(alone.data(), half_together.data() + r * n_out, alone.size() * sizeof(float)),
        0)
        << r;
  }
}

TEST_P(RowKernelSets, ExponentialIsAccurateAndHandlesTheEnds) {
  std::vector<float> x;
  for (float value = -86.5F; value < 88.5F; value += 0.0137F) x.push_back(value);
  auto y = x;
  GetParam()->exp_sum(y.data(), static_cast<std::int64_t>(y.size()), 0.0F);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    EXPECT_NEAR(y[i] / exact, 1.0, 3e-7) << x[i];
  }
  float ends[] = {-1000.0F, 1000.0F, std::numeric_limits<float>::quiet_NaN(), 0.0F,
                  -std::numeric_limits<float>::infinity()};
  GetParam()->exp_sum(ends, 5, 0.0F);
  EXPECT_EQ(ends[0], 0.0F);
  EXPECT_EQ(ends[1], std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(ends[2]));
  EXPECT_EQ(ends[3], 1.0F);
  EXPECT_EQ(ends[4], 0.0F);
}

TEST_P(RowKernelSets, SumsMaximaAndSilu) {
  for (const std::int64_t n : {1, 16, 50}) {
    const auto a = random_values(static_cast<std::size_t>(n), 5),
               b = random_values(static_cast<std::size_t>(n), 6);
    double dot = 0, sum = 0;
    float largest = a[0];
    for (std::int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(i);
      dot += static_cast<double>(a[at]) * b[at];
      sum += std::exp(static_cast<double>(a[at]) - 1.5);
      largest = std::max(largest, a[at]);
    }
    EXPECT_NEAR(GetParam()->dot(a.data(), b.data(), n), dot, 1e-5);
    EXPECT_EQ(GetParam()->max(a.data(), n), largest);
    auto exponentials = a;
    EXPECT_NEAR(GetParam()->exp_sum(exponentials.data(), n, 1.5F), sum, 1e-5 * sum);
    auto y = b;
    GetParam()->axpy_f32(0.5F, a.data(), y.data(), n);
    std::vector<float> silu(static_cast<std::size_t>(n));
    GetParam()->silu_mul(a.data(), b.data(), n, silu.data());
    for (std::size_t i = 0; i < silu.size(); ++i) {
      EXPECT_NEAR(y[i], b[i] + 0.5F * a[i], 1e-6);
      EXPECT_NEAR(silu[i], a[i] / (1.0 + std::exp(-static_cast<double>(a[i]))) * b[i], 1e-6);
    }
  }
}

TEST_P(RowKernelSets, CombineGivesTheBitsOfItsAxpys) {
  for (const std::int64_t d : {1, 16, 20, 64, 96, 131}) {
    for (const std::int64_t n_rows : {1, 3, 4, 9}) {
      const std::int64_t n = 23, stride = 30;
      const auto a = random_values(static_cast<std::size_t>(n_rows * stride), 21);
      const auto v = to_bfloat16(random_values(static_cast<std::size_t>(n * d), 22));
      auto y = random_values(static_cast<std::size_t>(n_rows * d), 23), expected = y;
      GetParam()->combine_bf16(a.data(), n_rows, stride, v.data(), n, d, y.data());
      for (std::int64_t r = 0; r < n_rows; ++r) {
        for (std::int64_t t = 0; t < n; ++t) {
          GetParam()->axpy_bf16(a[static_cast<std::size_t>(r * stride + t)], v.data() + t * d,
                                expected.data() + r * d, d);
        }
      }
      EXPECT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0)
          << d << ' ' << n_rows;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, RowKernelSets, ::testing::ValuesIn(usable_sets()),
                         [](const auto& info) { return std::string(info.param->instruction_set); });

// Every set against double precision, and each row alone against the same row among others.
TEST(Bf16Kernels, AllSetsMatchADoubleLoopAndRowsDoNotDependOnEachOther) {
  for (const Bf16Kernels& set : usable_bf16_kernels()) {
    for (const std::int64_t n_in : {1, 31, 32, 77, 256}) {
      for (const std::int64_t n_rows : {1, 2, 3, 4, 5, 6, 7, 13, 50}) {
        const std::int64_t n_out = 11;
        const auto x = to_bfloat16(random_values(static_cast<std::size_t>(n_rows * n_in), 11));
        const auto w = to_bfloat16(random_values(static_cast<std::size_t>(n_out * n_in), 12));
        std::vector<float> y(static_cast<std::size_t>(n_rows * n_out)),
            alone(static_cast<std::size_t>(n_out));
        set.linear(x.data(), n_rows, n_in, w.data(), n_out, y.data());
        for (std::int64_t r = 0; r < n_rows; ++r) {
          set.linear(x.data() + r * n_in, 1, n_in, w.data(), n_out, alone.data());
          EXPECT_EQ(std::memcmp(alone.data(), y.data() + r * n_out, alone.size() * sizeof(float)),
                    0)
              << set.instruction_set;
          for (std::int64_t j = 0; j < n_out; ++j) {
            double exact = 0;
            for (std::int64_t i = 0; i < n_in; ++i) {
              exact +=
                  static_cast<double>(from_bfloat16(x[static_cast<std::size_t>(r * n_in + i)])) *
                  from_bfloat16(w[static_cast<std::size_t>(j * n_in + i)]);
            }
            EXPECT_NEAR(y[static_cast<std::size_t>(r * n_out + j)], exact, 5e-5)
                << set.instruction_set << ' ' << n_in << ' ' << n_rows;
          }
        }
      }
    }
  }
}

// Both have fused multiply-add and the same order of summation.
TEST(RowKernels, Avx2AndAvx512GiveTheSameBits) {
#if defined(__x86_64__)
  if (&row_kernels() != &row_kernels_avx512) GTEST_SKIP() << "this processor has no AVX-512";
  const std::int64_t n_rows = 9, n_in = 100, n_out = 14;
  const auto x = random_values(static_cast<std::size_t>(n_rows * n_in), 8);
  const auto w = random_values(static_cast<std::size_t>(n_out * n_in), 9);
  std::vector<float> a(static_cast<std::size_t>(n_rows * n_out)), b = a;
  row_kernels_avx2.linear_f32(x.data(), n_rows, n_in, w.data(), 0, n_out, n_out, a.data());
  row_kernels_avx512.linear_f32(x.data(), n_rows, n_in, w.data(), 0, n_out, n_out, b.data());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
  const auto half = to_bfloat16(w);
  row_kernels_avx2.linear_bf16(x.data(), n_rows, n_in, half.data(), 0, n_out, n_out, a.data());
  row_kernels_avx512.linear_bf16(x.data(), n_rows, n_in, half.data(), 0, n_out, n_out, b.data());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
  EXPECT_EQ(row_kernels_avx2.dot(x.data(), w.data(), 899),
            row_kernels_avx512.dot(x.data(), w.data(), 899));
  auto ya = w, yb = w;
  row_kernels_avx2.axpy_f32(0.7F, x.data(), ya.data(), 899);
  row_kernels_avx512.axpy_f32(0.7F, x.data(), yb.data(), 899);
  row_kernels_avx2.axpy_bf16(0.7F, half.data(), ya.data(), 899);
  row_kernels_avx512.axpy_bf16(0.7F, half.data(), yb.data(), 899);
  EXPECT_EQ(std::memcmp(ya.data(), yb.data(), ya.size() * sizeof(float)), 0);
  row_kernels_avx2.combine_bf16(x.data(), n_rows, n_in, half.data(), 10, n_in, ya.data());
  row_kernels_avx512.combine_bf16(x.data(), n_rows, n_in, half.data(), 10, n_in, yb.data());
  EXPECT_EQ(std::memcmp(ya.data(), yb.data(), ya.size() * sizeof(float)), 0);
  row_kernels_avx2.silu_mul(x.data(), w.data(), 899, ya.data());
  row_kernels_avx512.silu_mul(x.data(), w.data(), 899, yb.data());
  EXPECT_EQ(std::memcmp(ya.data(), yb.data(), ya.size() * sizeof(float)), 0);
  auto ea = x, eb = x;
  const float sum_a = row_kernels_avx2.exp_sum(ea.data(), 900, 0.3F),
              sum_b = row_kernels_avx512.exp_sum(eb.data(), 900, 0.3F);
  EXPECT_EQ(std::memcmp(ea.data(), eb.data(), ea.size() * sizeof(float)), 0);
  EXPECT_EQ(sum_a, sum_b);
#else
  GTEST_SKIP() << "not an x86 processor";
#endif
}

}  // namespace
}  // namespace moexray::kernels
