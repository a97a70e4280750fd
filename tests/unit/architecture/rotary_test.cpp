#include "moexray/architecture/rotary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace moexray {
namespace {

std::vector<float> scaled(RotaryScaling scaling) {
  return rotary_frequencies({16, 10000, std::move(scaling)});
}

double plain(int i) { return std::pow(10000.0, -2.0 * i / 16); }

TEST(Rotary, FallsGeometrically) {
  const auto frequencies = scaled({});
  ASSERT_EQ(frequencies.size(), 8U);
  for (int i = 0; i < 8; ++i) EXPECT_NEAR(frequencies[static_cast<std::size_t>(i)], plain(i), 1e-7);
  EXPECT_EQ(rotary_amplitude({16, 10000, {}}), 1.0F);
}

TEST(Rotary, IsStretchedEvenlyByLinearScaling) {
  const auto frequencies = scaled(LinearScaling{4});
  for (int i = 0; i < 8; ++i) {
    EXPECT_NEAR(frequencies[static_cast<std::size_t>(i)], plain(i) / 4, 1e-7);
  }
}

// Fast pairs stay, slow ones are stretched, and between them the share rises with the frequency.
TEST(Rotary, IsStretchedByWavelengthInLlama3) {
  const auto frequencies = scaled(Llama3Scaling{8, 1, 4, 128});
  for (int i = 0; i < 8; ++i) {
    const double wavelength = 2 * std::numbers::pi / plain(i);
    const double smooth = (128 / wavelength - 1) / (4 - 1);
    const double expected = wavelength < 32    ? plain(i)
                            : wavelength > 128 ? plain(i) / 8
                                               : (1 - smooth) * plain(i) / 8 + smooth * plain(i);
    EXPECT_NEAR(frequencies[static_cast<std::size_t>(i)], expected, 1e-6) << i;
  }
  EXPECT_EQ(frequencies[0], 1.0F);
  EXPECT_LT(frequencies[3], plain(3) * 0.9);
}

// The ramp between the pairs that turn beta_fast and beta_slow times in the context.
TEST(Rotary, IsStretchedByARampInYarn) {
  YarnScaling yarn{.factor = 4, .beta_fast = 8, .beta_slow = 1, .original_positions = 512};
  const auto pair_of = [](double n) {
    return 16 * std::log(512 / (2 * std::numbers::pi * n)) / (2 * std::log(10000.0));
  };
  for (const bool truncate : {true, false}) {
    yarn.truncate = truncate;
    const double first = truncate ? std::floor(pair_of(8)) : pair_of(8),
                 last = truncate ? std::ceil(pair_of(1)) : pair_of(1);
    const auto frequencies = scaled(yarn);
    for (int i = 0; i < 8; ++i) {
      const double share = std::clamp((i - first) / (last - first), 0.0, 1.0);
      EXPECT_NEAR(frequencies[static_cast<std::size_t>(i)],
                  plain(i) / 4 * share + plain(i) * (1 - share), 1e-6)
          << i;
    }
  }
}

TEST(Rotary, HasAnAmplitudeInYarn) {
  EXPECT_DOUBLE_EQ(yarn_amplitude(1), 1);
  EXPECT_DOUBLE_EQ(yarn_amplitude(0.5, 2, 3), 1);
  EXPECT_DOUBLE_EQ(yarn_amplitude(32), 0.1 * std::log(32.0) + 1);
  EXPECT_DOUBLE_EQ(yarn_amplitude(40, 0.707, 0.707), 1);
  EXPECT_DOUBLE_EQ(yarn_amplitude(40, 1, 0), 0.1 * std::log(40.0) + 1);
  EXPECT_FLOAT_EQ(rotary_amplitude({16, 1e4, YarnScaling{.amplitude = 1.5}}), 1.5F);
}

// Both ends of the ramp may fall on one place, or lie outside the head.
TEST(Rotary, StaysFiniteWhereYarnsRampIsEmpty) {
  for (const int context : {1, 6, 100'000'000}) {
    for (const float frequency : scaled(YarnScaling{
             .factor = 4, .beta_fast = 1, .beta_slow = 1, .original_positions = context})) {
      EXPECT_TRUE(std::isfinite(frequency)) << context;
      EXPECT_GT(frequency, 0) << context;
    }
  }
}

}  // namespace
}  // namespace moexray
