// The row kernels: against double-precision loops, and the instruction sets against each other.

#include "kernels/row_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "operands.h"

namespace moexray::kernels {
namespace {

std::vector<const RowKernels*> usable_row_kernels() {
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
    GetParam()->linear(x.data(), n_rows, n_in, whole(w, n_in), 0, n_out, n_out, y.data());
    GetParam()->linear(x.data(), n_rows, n_in, whole(half, n_in), 0, n_out, n_out, z.data());
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
  GetParam()->linear(x.data(), n_rows, n_in, whole(w, n_in), 0, n_out, n_out, together.data());
  const auto half = to_bfloat16(w);
  auto half_together = together;
  GetParam()->linear(x.data(), n_rows, n_in, whole(half, n_in), 0, n_out, n_out,
                     half_together.data());
  for (std::int64_t r = 0; r < n_rows; ++r) {
    GetParam()->linear(x.data() + r * n_in, 1, n_in, whole(w, n_in), 0, 3, n_out, alone.data());
    GetParam()->linear(x.data() + r * n_in, 1, n_in, whole(w, n_in), 3, n_out, n_out, alone.data());
    EXPECT_EQ(std::memcmp(alone.data(), together.data() + r * n_out, alone.size() * sizeof(float)),
              0)
        << r;
    GetParam()->linear(x.data() + r * n_in, 1, n_in, whole(half, n_in), 0, 5, n_out, alone.data());
    GetParam()->linear(x.data() + r * n_in, 1, n_in, whole(half, n_in), 5, n_out, n_out,
                       alone.data());
    EXPECT_EQ(
        std::memcmp(alone.data(), half_together.data() + r * n_out, alone.size() * sizeof(float)),
        0)
        << r;
  }
}

// With weights whose rows lie apart, and with a bias: the bits of the same rows without gaps, and
// the bias added to them.
template <typename T>
void expect_strided_rows(const RowKernels& set, const std::vector<T>& w, std::int64_t n_out,
                         std::int64_t n_in) {
  const std::int64_t n_rows = 7;
  const auto x = random_values(static_cast<std::size_t>(n_rows * n_in), 61),
             bias = random_values(static_cast<std::size_t>(n_out), 62);
  std::vector<float> expected(static_cast<std::size_t>(n_rows * n_out));
  set.linear(x.data(), n_rows, n_in, whole(w, n_in), 0, n_out, n_out, expected.data());
  const auto biased = with_bias(expected, bias);
  const Guarded<float> xs(x.size()), biases(bias.size()), ys(expected.size());
  for (const std::int64_t stride : {n_in, n_in + 1, 2 * n_in + 64}) {
    const auto wide = spread(w, n_out, n_in, stride);
    const Guarded<T> ws(wide.size());
    for (const bool at_end : {false, true}) {
      const float* px = xs.place(at_end, x);
      float* y = ys.place(at_end);
      Weights weights{ws.place(at_end, wide), stride, whole(w, n_in).format};
      set.linear(px, n_rows, n_in, weights, 0, n_out, n_out, y);
      EXPECT_TRUE(same_bits(y, expected)) << n_in << ' ' << n_out << ' ' << stride;
      weights.bias = biases.place(at_end, bias);
      set.linear(px, n_rows, n_in, weights, 0, 3, n_out, y);
      set.linear(px, n_rows, n_in, weights, 3, n_out, n_out, y);
      EXPECT_TRUE(same_bits(y, biased)) << n_in << ' ' << n_out << ' ' << stride;
    }
  }
}

TEST_P(RowKernelSets, MultiplyRowsOfWiderMatricesAndAddABias) {
  for (const std::int64_t n_in : {7, 12, 32, 97}) {
    for (const std::int64_t n_out : {7, 12, 97}) {
      const auto w = random_values(static_cast<std::size_t>(n_out * n_in), 63);
      expect_strided_rows(*GetParam(), w, n_out, n_in);
      expect_strided_rows(*GetParam(), to_bfloat16(w), n_out, n_in);
    }
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

TEST_P(RowKernelSets, RanksAreThoseOfAStableSort) {
  for (const std::size_t n : {1U, 3U, 8U, 16U, 31U, 32U, 60U, 64U, 128U}) {
    std::vector<float> x = random_values(n, 9);
    for (std::size_t i = 0; i < n; i += 3) x[i] = x[i / 2];  // ties, near and far
    if (n > 8) x[4] = x[n - 1] = -std::numeric_limits<float>::infinity();
    std::vector<std::int32_t> order(n), rank(n), expected(n);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, std::greater(),
                             [&](std::int32_t i) { return x[static_cast<std::size_t>(i)]; });
    for (std::size_t i = 0; i < n; ++i)
      expected[static_cast<std::size_t>(order[i])] = static_cast<std::int32_t>(i);
    ASSERT_TRUE(GetParam()->ranks(x.data(), static_cast<std::int64_t>(n), rank.data())) << n;
    EXPECT_EQ(rank, expected) << n;
    x[n / 2] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(GetParam()->ranks(x.data(), static_cast<std::int64_t>(n), rank.data())) << n;
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

INSTANTIATE_TEST_SUITE_P(All, RowKernelSets, ::testing::ValuesIn(usable_row_kernels()),
                         [](const auto& info) { return std::string(info.param->instruction_set); });

// Both have fused multiply-add and the same order of summation.
TEST(RowKernels, Avx2AndAvx512GiveTheSameBits) {
#if defined(__x86_64__)
  if (&row_kernels() != &row_kernels_avx512) GTEST_SKIP() << "this processor has no AVX-512";
  const std::int64_t n_rows = 9, n_in = 100, n_out = 14;
  const auto x = random_values(static_cast<std::size_t>(n_rows * n_in), 8);
  const auto w = random_values(static_cast<std::size_t>(n_out * n_in), 9);
  std::vector<float> a(static_cast<std::size_t>(n_rows * n_out)), b = a;
  row_kernels_avx2.linear(x.data(), n_rows, n_in, whole(w, n_in), 0, n_out, n_out, a.data());
  row_kernels_avx512.linear(x.data(), n_rows, n_in, whole(w, n_in), 0, n_out, n_out, b.data());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
  const auto half = to_bfloat16(w);
  row_kernels_avx2.linear(x.data(), n_rows, n_in, whole(half, n_in), 0, n_out, n_out, a.data());
  row_kernels_avx512.linear(x.data(), n_rows, n_in, whole(half, n_in), 0, n_out, n_out, b.data());
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
