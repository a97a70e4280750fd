// The row kernels: against double-precision loops, and the instruction sets against each other.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/kernel_sets.h"
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

// y = x · wᵀ by a set, the rows packed together.
std::vector<float> product(const KernelSet& set, const std::vector<std::uint16_t>& x,
                           std::int64_t n_rows, std::int64_t n_in, const std::uint16_t* w,
                           std::int64_t n_out, bool near = false) {
  std::vector<float> y(static_cast<std::size_t>(n_rows * n_out), -1.0F);
  const PackedRows packed(set, x.data(), n_rows, n_in);
  const KernelScope scope(set);
  set.linear(packed.from(0), n_rows, n_in, w, n_out, y.data(), near);
  return y;
}

class UsableKernelSets : public ::testing::TestWithParam<const KernelSet*> {};

// Against double precision, and each row alone against the same row among others.
TEST_P(UsableKernelSets, MatchADoubleLoopAndRowsDoNotDependOnEachOther) {
  for (const std::int64_t n_in : {1, 7, 12, 31, 32, 64, 77, 97, 256}) {
    for (const std::int64_t n_rows : {1, 2, 3, 4, 5, 6, 7, 13, 16, 17, 33, 50}) {
      for (const std::int64_t n_out : {1, 11, 16, 35, 64, 97}) {
        const auto x = to_bfloat16(random_values(static_cast<std::size_t>(n_rows * n_in), 11));
        const auto w = to_bfloat16(random_values(static_cast<std::size_t>(n_out * n_in), 12));
        const auto y = product(*GetParam(), x, n_rows, n_in, w.data(), n_out);
        for (std::int64_t r = 0; r < n_rows; r += 1 + n_rows / 5) {
          const std::vector<std::uint16_t> row(x.begin() + r * n_in, x.begin() + (r + 1) * n_in);
          const auto alone = product(*GetParam(), row, 1, n_in, w.data(), n_out, true);
          EXPECT_EQ(std::memcmp(alone.data(), y.data() + r * n_out, alone.size() * sizeof(float)),
                    0)
              << n_in << ' ' << n_rows << ' ' << n_out;
          for (std::int64_t j = 0; j < n_out; ++j) {
            double exact = 0;
            for (std::int64_t i = 0; i < n_in; ++i) {
              exact += static_cast<double>(from_bfloat16(row[static_cast<std::size_t>(i)])) *
                       from_bfloat16(w[static_cast<std::size_t>(j * n_in + i)]);
            }
            EXPECT_NEAR(alone[static_cast<std::size_t>(j)], exact, 5e-5) << n_in << ' ' << n_rows;
          }
        }
      }
    }
  }
}

// A part of packed rows is what the same rows give packed by themselves.
TEST_P(UsableKernelSets, PackedRowsCanBeTakenInParts) {
  const KernelSet& set = *GetParam();
  const std::int64_t n_rows = 3 * set.group + 5, n_in = 45, n_out = 21;
  const auto x = to_bfloat16(random_values(static_cast<std::size_t>(n_rows * n_in), 31));
  const auto w = to_bfloat16(random_values(static_cast<std::size_t>(n_out * n_in), 32));
  const auto whole = product(set, x, n_rows, n_in, w.data(), n_out);
  const PackedRows packed(set, x.data(), n_rows, n_in);
  const KernelScope scope(set);
  const std::int64_t first = 2 * set.group, n = n_rows - first;
  std::vector<float> part(static_cast<std::size_t>(n * n_out));
  set.linear(packed.from(first), n, n_in, w.data(), n_out, part.data(), false);
  EXPECT_EQ(std::memcmp(part.data(), whole.data() + first * n_out, part.size() * sizeof(float)), 0);
}

// Memory of whole pages with pages around it that no one may touch: sanitizers do not see what
// tile instructions read.
class GuardedMemory {
 public:
  explicit GuardedMemory(std::size_t n_bytes) : n_bytes_(n_bytes) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    size_ = (n_bytes + page - 1) / page * page + 2 * page;
    memory_ = static_cast<std::byte*>(
        ::mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ::mprotect(memory_ + page, size_ - 2 * page, PROT_READ | PROT_WRITE);
    begin_ = memory_ + page;
    end_ = memory_ + size_ - page;
  }
  ~GuardedMemory() { ::munmap(memory_, size_); }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  // At the first byte that may be touched, and up to the last.
  std::byte* at_begin() const { return begin_; }
  std::byte* at_end() const { return end_ - n_bytes_; }

 private:
  std::size_t n_bytes_, size_ = 0;
  std::byte *memory_ = nullptr, *begin_ = nullptr, *end_ = nullptr;
};

TEST_P(UsableKernelSets, ReadAndWriteNothingBeyondTheirOperands) {
  const KernelSet& set = *GetParam();
  for (const std::int64_t n_in : {7, 12, 32, 97}) {
    for (const std::int64_t n_rows : {1, 7, 17}) {
      for (const std::int64_t n_out : {7, 12, 64, 97}) {
        const auto x = to_bfloat16(random_values(static_cast<std::size_t>(n_rows * n_in), 41));
        const auto w = to_bfloat16(random_values(static_cast<std::size_t>(n_out * n_in), 42));
        const auto expected = product(set, x, n_rows, n_in, w.data(), n_out);
        const GuardedMemory xs(x.size() * 2), ws(w.size() * 2), ys(expected.size() * 4);
        const auto n_packed = static_cast<std::size_t>(packed_values(set, n_rows, n_in));
        const GuardedMemory packs(n_packed * 2);
        for (const auto place : {&GuardedMemory::at_begin, &GuardedMemory::at_end}) {
          auto* px = reinterpret_cast<std::uint16_t*>((xs.*place)());
          auto* pw = reinterpret_cast<std::uint16_t*>((ws.*place)());
          auto* py = reinterpret_cast<float*>((ys.*place)());
          auto* packed = reinterpret_cast<std::uint16_t*>((packs.*place)());
          std::copy(x.begin(), x.end(), px);
          std::copy(w.begin(), w.end(), pw);
          if (set.pack == nullptr) {
            packed = px;
          } else {
            set.pack(px, n_rows, n_in, packed);
          }
          const KernelScope scope(set);
          set.linear(packed, n_rows, n_in, pw, n_out, py, false);
          EXPECT_EQ(std::memcmp(py, expected.data(), expected.size() * sizeof(float)), 0);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, UsableKernelSets,
                         ::testing::ValuesIn(usable_kernel_sets().begin(),
                                             usable_kernel_sets().end()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST(KernelSets, AreFoundByNameWhereTheyRun) {
  ASSERT_FALSE(usable_kernel_sets().empty());
  EXPECT_STREQ(usable_kernel_sets().back()->name, "portable");
  for (const KernelSet& set : kernel_sets()) {
    EXPECT_EQ(usable_kernel_set(set.name) != nullptr, set.usable()) << set.name;
    EXPECT_EQ(set.rows_at_once % set.group, 0) << set.name;
    EXPECT_LE(set.rows_at_once, max_rows_at_once) << set.name;
  }
  EXPECT_EQ(usable_kernel_set("nonsense"), nullptr);
}

// What a tdpbf16ps adds to one value: the products of the even inputs and those of the odd ones are
// summed by fused multiply-add, and then together (Intel's description of the instruction).
// Subnormal numbers count as zero.
float flushed(float value) { return std::fpclassify(value) == FP_SUBNORMAL ? 0.0F : value; }

float tile_product(const std::uint16_t* x, const std::uint16_t* w, std::int64_t n_in) {
  float sum = 0;
  for (std::int64_t first = 0; first < n_in; first += 32) {
    float parts[2] = {0, 0};
    for (std::int64_t i = 0; i < 32; ++i) {
      const bool inside = first + i < n_in;
      const float a = inside ? flushed(from_bfloat16(x[first + i])) : 0.0F;
      const float b = inside ? flushed(from_bfloat16(w[first + i])) : 0.0F;
      parts[i % 2] = flushed(std::fma(a, b, parts[i % 2]));
    }
    sum = flushed(sum + flushed(parts[0] + parts[1]));
  }
  return sum;
}

TEST(KernelSets, TilesGiveTheBitsOfTheirDefinition) {
  const KernelSet* amx = usable_kernel_set("amx_bf16");
  if (amx == nullptr) GTEST_SKIP() << "no tiles of bfloat16 here";
  for (const std::int64_t n_in : {7, 32, 97, 256, 1024}) {
    const std::int64_t n_rows = 40, n_out = 83;
    auto x = to_bfloat16(random_values(static_cast<std::size_t>(n_rows * n_in), 51));
    const auto w = to_bfloat16(random_values(static_cast<std::size_t>(n_out * n_in), 52));
    for (std::size_t i = 0; i < x.size(); i += 19) x[i] = 0x0040;  // subnormal
    const auto y = product(*amx, x, n_rows, n_in, w.data(), n_out);
    std::int64_t n_different = 0;
    for (std::int64_t r = 0; r < n_rows; ++r) {
      for (std::int64_t j = 0; j < n_out; ++j) {
        const float expected = tile_product(x.data() + r * n_in, w.data() + j * n_in, n_in);
        const float found = y[static_cast<std::size_t>(r * n_out + j)];
        if (std::memcmp(&expected, &found, sizeof found) != 0) ++n_different;
      }
    }
    EXPECT_EQ(n_different, 0) << n_in;
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
