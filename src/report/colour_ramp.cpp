#include "colour_ramp.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace moexray::report {
namespace {

// Equally spaced samples; between them colours are interpolated.
constexpr std::array<Colour, 9> viridis_samples{{{68, 1, 84},
                                                 {71, 45, 123},
                                                 {59, 82, 139},
                                                 {44, 114, 142},
                                                 {33, 145, 140},
                                                 {40, 174, 128},
                                                 {94, 201, 98},
                                                 {173, 220, 48},
                                                 {253, 231, 37}}};

constexpr std::array<Colour, 9> blue_orange_samples{{{10, 46, 110},
                                                     {28, 92, 165},
                                                     {86, 147, 204},
                                                     {166, 201, 231},
                                                     {246, 246, 246},
                                                     {250, 190, 140},
                                                     {226, 127, 56},
                                                     {170, 74, 10},
                                                     {106, 36, 0}}};

int between(int a, int b, double share) {
  return static_cast<int>(std::lround(a + (b - a) * share));
}

Colour interpolated(const std::array<Colour, 9>& samples, double share) {
  const double position = std::clamp(share, 0.0, 1.0) * (samples.size() - 1);
  const auto i = std::min(static_cast<std::size_t>(position), samples.size() - 2);
  const double rest = position - static_cast<double>(i);
  const Colour& a = samples[i];
  const Colour& b = samples[i + 1];
  return {between(a.red, b.red, rest), between(a.green, b.green, rest),
          between(a.blue, b.blue, rest)};
}

}  // namespace

std::string Colour::hex() const { return fmt::format("#{:02x}{:02x}{:02x}", red, green, blue); }

// Relative luminance as in the Web Content Accessibility Guidelines: at 0.18 white and black text
// have the same contrast.
bool Colour::is_dark() const {
  const auto linear = [](int value) {
    const double share = value / 255.0;
    return share <= 0.04045 ? share / 12.92 : std::pow((share + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue) < 0.18;
}

Colour viridis(double share) { return interpolated(viridis_samples, share); }

Colour blue_orange(double share) { return interpolated(blue_orange_samples, share); }

}  // namespace moexray::report
