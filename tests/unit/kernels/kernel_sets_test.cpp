// The sets of kernels, and one of the tests' own: against double-precision loops, alone and among
// other rows, with operands that end where memory does.

#include "kernels/kernel_sets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "operands.h"
#include "support/double_kernels.h"

namespace moexray::kernels {
namespace {

// y = x · wᵀ by a set, the rows packed together.
std::vector<float> product(const KernelSet& set, const std::vector<std::uint16_t>& x,
                           std::int64_t n_rows, std::int64_t n_in, const Weights& w,
                           std::int64_t n_out, bool near = false) {
  std::vector<float> y(static_cast<std::size_t>(n_rows * n_out), -1.0F);
  const PackedRows packed(set, x.data(), n_rows, n_in);
  const KernelScope scope(set);
  set.linear(packed.from(0), n_rows, n_in, w, n_out, y.data(), near);
  return y;
}

// The rows of the built-in table, and that of the tests' own.
std::vector<const KernelSet*> sets_under_test() {
  auto sets = usable_kernel_sets();
  for (const KernelSet* set : usable_kernel_sets(test::double_kernels())) sets.push_back(set);
  return sets;
}

class UsableKernelSets : public ::testing::TestWithParam<const KernelSet*> {};

// Against double precision, and each row alone against the same row among others.
TEST_P(UsableKernelSets, MatchADoubleLoopAndRowsDoNotDependOnEachOther) {
  for (const std::int64_t n_in : {1, 7, 12, 31, 32, 64, 77, 97, 256}) {
    for (const std::int64_t n_rows : {1, 2, 3, 4, 5, 6, 7, 13, 16, 17, 33, 50}) {
      for (const std::int64_t n_out : {1, 11, 16, 35, 64, 97}) {
        const auto x = to_bfloat16(random_values(static_cast<std::size_t>(n_rows * n_in), 11));
        const auto w = to_bfloat16(random_values(static_cast<std::size_t>(n_out * n_in), 12));
        const auto y = product(*GetParam(), x, n_rows, n_in, whole(w, n_in), n_out);
        for (std::int64_t r = 0; r < n_rows; r += 1 + n_rows / 5) {
          const std::vector<std::uint16_t> row(x.begin() + r * n_in, x.begin() + (r + 1) * n_in);
          const auto alone = product(*GetParam(), row, 1, n_in, whole(w, n_in), n_out, true);
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
  const auto together = product(set, x, n_rows, n_in, whole(w, n_in), n_out);
  const PackedRows packed(set, x.data(), n_rows, n_in);
  const KernelScope scope(set);
  const std::int64_t first = 2 * set.group, n = n_rows - first;
  std::vector<float> part(static_cast<std::size_t>(n * n_out));
  set.linear(packed.from(first), n, n_in, whole(w, n_in), n_out, part.data(), false);
  EXPECT_EQ(std::memcmp(part.data(), together.data() + first * n_out, part.size() * sizeof(float)),
            0);
}

// Nothing beyond the operands is read or written, whether rows of the weights follow on each other
// or lie apart; the bits are the same.
TEST_P(UsableKernelSets, StayInsideTheirOperandsAndHonourStrideAndBias) {
  const KernelSet& set = *GetParam();
  for (const std::int64_t n_in : {7, 12, 32, 96, 97}) {
    for (const std::int64_t n_rows : {1, 7, 17}) {
      for (const std::int64_t n_out : {7, 12, 64, 97}) {
        const auto x = to_bfloat16(random_values(static_cast<std::size_t>(n_rows * n_in), 41));
        const auto w = to_bfloat16(random_values(static_cast<std::size_t>(n_out * n_in), 42));
        const auto bias = random_values(static_cast<std::size_t>(n_out), 43);
        const auto expected = product(set, x, n_rows, n_in, whole(w, n_in), n_out),
                   biased = with_bias(expected, bias);
        const Guarded<std::uint16_t> xs(x.size()),
            packs(static_cast<std::size_t>(packed_values(set, n_rows, n_in)));
        const Guarded<float> biases(bias.size()), ys(expected.size());
        for (const std::int64_t stride : {n_in, n_in + 1, 2 * n_in + 64}) {
          const auto wide = spread(w, n_out, n_in, stride);
          const Guarded<std::uint16_t> ws(wide.size());
          for (const bool at_end : {false, true}) {
            std::uint16_t *px = xs.place(at_end, x), *packed = px;
            if (set.pack != nullptr) {
              packed = packs.place(at_end);
              set.pack(px, n_rows, n_in, packed);
            }
            float* y = ys.place(at_end);
            Weights weights{ws.place(at_end, wide), stride, WeightFormat::bfloat16};
            const KernelScope scope(set);
            set.linear(packed, n_rows, n_in, weights, n_out, y, false);
            EXPECT_TRUE(same_bits(y, expected)) << n_in << ' ' << n_out << ' ' << stride;
            weights.bias = biases.place(at_end, bias);
            set.linear(packed, n_rows, n_in, weights, n_out, y, true);
            EXPECT_TRUE(same_bits(y, biased)) << n_in << ' ' << n_out << ' ' << stride;
          }
        }
      }
    }
  }
}

// A column block of a fused matrix: rows are counted in strides, and the bias goes with them.
TEST_P(UsableKernelSets, TakePartsOfTheRows) {
  const KernelSet& set = *GetParam();
  const std::int64_t n_rows = 5, n_in = 45, n_out = 21, stride = 100, first = 8;
  const auto x = to_bfloat16(random_values(static_cast<std::size_t>(n_rows * n_in), 71));
  const auto w = to_bfloat16(random_values(static_cast<std::size_t>(n_out * stride), 72));
  const auto bias = random_values(static_cast<std::size_t>(n_out), 73);
  const Weights all{w.data() + 50, stride, WeightFormat::bfloat16, bias.data()};
  const auto y = product(set, x, n_rows, n_in, all, n_out),
             part = product(set, x, n_rows, n_in, rows_from(all, first), n_out - first);
  for (std::int64_t r = 0; r < n_rows; ++r) {
    EXPECT_EQ(std::memcmp(part.data() + r * (n_out - first), y.data() + r * n_out + first,
                          static_cast<std::size_t>(n_out - first) * sizeof(float)),
              0);
  }
}

INSTANTIATE_TEST_SUITE_P(All, UsableKernelSets, ::testing::ValuesIn(sets_under_test()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST(KernelSets, AreFoundByNameWhereTheyRun) {
  constexpr auto format = WeightFormat::bfloat16;
  ASSERT_FALSE(usable_kernel_sets().empty());
  EXPECT_STREQ(usable_kernel_sets().back()->name, "portable");
  for (const KernelSet& set : kernel_sets()) {
    EXPECT_EQ(usable_kernel_set(set.name, format) != nullptr, set.usable()) << set.name;
    EXPECT_EQ(usable_kernel_set(set.name, WeightFormat::float32), nullptr) << set.name;
  }
  EXPECT_EQ(usable_kernel_set("fast", format), usable_kernel_sets().front());
  EXPECT_EQ(usable_kernel_set("nonsense", format), nullptr);
  EXPECT_EQ(usable_kernel_set("naive", format), nullptr);
}

TEST(KernelSets, AreChosenFromAnyTable) {
  const auto table = test::double_kernels();
  for (const WeightFormat format : {WeightFormat::bfloat16, WeightFormat::float32}) {
    EXPECT_EQ(usable_kernel_set("naive", format, table), &table[0]);
    EXPECT_EQ(usable_kernel_set("fast", format, table), &table[0]);
    EXPECT_EQ(usable_kernel_set("portable", format, table), nullptr);
  }
}

TEST_P(UsableKernelSets, SayWhatTheyNeed) {
  const KernelSet& set = *GetParam();
  EXPECT_TRUE(set.takes(WeightFormat::bfloat16));
  EXPECT_EQ(set.rows_at_once % set.group, 0);
  EXPECT_LE(set.rows_at_once, max_rows_at_once);
  EXPECT_EQ(packed_values(set, 0, 97), 0);
  EXPECT_GE(packed_values(set, 1, 97), 97);
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

// Sixteen lanes, each a chain of fused multiply-adds, added pairwise.
float lane_product(const std::uint16_t* x, const std::uint16_t* w, std::int64_t n_in) {
  float lane[16] = {};
  for (std::int64_t i = 0; i < n_in; ++i) {
    lane[i % 16] = std::fma(from_bfloat16(x[i]), from_bfloat16(w[i]), lane[i % 16]);
  }
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  }
  return lane[0];
}

TEST(KernelSets, LanesGiveTheBitsOfTheirDefinition) {
  int n_sets = 0;
  for (const KernelSet* set : usable_kernel_sets()) {
    if (std::string_view(set->bits) != "bf16-fma") continue;
    ++n_sets;
    for (const std::int64_t n_in : {7, 16, 33, 97, 1024}) {
      const std::int64_t n_rows = 50, n_out = 23;
      const auto x = to_bfloat16(random_values(static_cast<std::size_t>(n_rows * n_in), 61));
      const auto w = to_bfloat16(random_values(static_cast<std::size_t>(n_out * n_in), 62));
      std::vector<float> expected;
      for (std::int64_t r = 0; r < n_rows; ++r) {
        for (std::int64_t j = 0; j < n_out; ++j) {
          expected.push_back(lane_product(x.data() + r * n_in, w.data() + j * n_in, n_in));
        }
      }
      const auto y = product(*set, x, n_rows, n_in, whole(w, n_in), n_out);
      EXPECT_TRUE(same_bits(y.data(), expected)) << set->name << " " << n_in;
    }
  }
  if (n_sets == 0) GTEST_SKIP() << "no fused multiply-add here";
}

TEST(KernelSets, TilesGiveTheBitsOfTheirDefinition) {
  const KernelSet* amx = usable_kernel_set("amx_bf16", WeightFormat::bfloat16);
  if (amx == nullptr) GTEST_SKIP() << "no tiles of bfloat16 here";
  for (const std::int64_t n_in : {7, 32, 97, 256, 1024}) {
    const std::int64_t n_rows = 40, n_out = 83, stride = n_in + 11;
    auto x = to_bfloat16(random_values(static_cast<std::size_t>(n_rows * n_in), 51));
    const auto w = to_bfloat16(random_values(static_cast<std::size_t>(n_out * n_in), 52));
    for (std::size_t i = 0; i < x.size(); i += 19) x[i] = 0x0040;  // subnormal
    const auto bias = random_values(static_cast<std::size_t>(n_out), 53);
    const auto wide = spread(w, n_out, n_in, stride);
    const auto y = product(*amx, x, n_rows, n_in, whole(w, n_in), n_out),
               biased = product(*amx, x, n_rows, n_in,
                                {wide.data(), stride, WeightFormat::bfloat16, bias.data()}, n_out);
    std::int64_t n_different = 0;
    for (std::int64_t r = 0; r < n_rows; ++r) {
      for (std::int64_t j = 0; j < n_out; ++j) {
        const float expected = tile_product(x.data() + r * n_in, w.data() + j * n_in, n_in);
        const float found = y[static_cast<std::size_t>(r * n_out + j)];
        if (std::memcmp(&expected, &found, sizeof found) != 0) ++n_different;
      }
    }
    EXPECT_TRUE(same_bits(biased.data(), with_bias(y, bias))) << n_in;
    EXPECT_EQ(n_different, 0) << n_in;
  }
}

}  // namespace
}  // namespace moexray::kernels
