#include "trace/number_format.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <string>

#include "moexray/core/random.h"

namespace moexray {
namespace {

void expect_like_printf(float value) {
  char expected[64];
  std::snprintf(expected, sizeof expected, "%.6g", static_cast<double>(value));
  char text[trace::max_number_bytes];
  const std::string written(text, trace::write_number(text, value));
  ASSERT_EQ(written, expected);
}

TEST(NumberFormat, WritesWhatPrintfWrites) {
  for (const float value :
       {0.0F,      -0.0F,       1.0F,         -1.0F,         0.1F,       0.5F,
        1e-4F,     9.99999e-5F, 0.000999999F, 0.0009999999F, 0.9999994F, 0.99999994F,
        9.999999F, 99999.95F,   999999.F,     999999.4F,     999999.5F,  1e6F,
        123456.0F, 3.4e38F,     1.2e-38F,     1e-45F}) {
    expect_like_printf(value);
  }
}

TEST(NumberFormat, RoundsTiesAsPrintf) {
  // Multiples of powers of two have short decimal expansions, among them exact ties.
  for (int exponent = 1; exponent < 24; ++exponent) {
    for (int i = 1; i < 4000; ++i) expect_like_printf(std::ldexp(static_cast<float>(i), -exponent));
  }
}

TEST(NumberFormat, WritesRandomFloatsAsPrintf) {
  RandomStream random(3);
  for (int i = 0; i < 200'000; ++i) {
    expect_like_printf(static_cast<float>(random.uniform()));
    expect_like_printf(static_cast<float>(random.normal() * 5));
    const float any = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (std::isfinite(any)) expect_like_printf(any);
  }
}

}  // namespace
}  // namespace moexray
