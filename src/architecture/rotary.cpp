#include "moexray/architecture/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <variant>

namespace moexray {
namespace {

float scaled(float plain, const Llama3Scaling& scaling) {
  const auto factor = static_cast<float>(scaling.factor),
             low = static_cast<float>(scaling.low_freq_factor),
             high = static_cast<float>(scaling.high_freq_factor);
  const auto context = static_cast<float>(scaling.original_positions);
  const float wavelength = static_cast<float>(2 * std::numbers::pi) / plain;
  if (wavelength < context / high) return plain;
  if (wavelength > context / low) return plain / factor;
  const float smooth = (context / wavelength - low) / (high - low);
  return (1 - smooth) * plain / factor + smooth * plain;
}

// The share of the stretched frequency in that of pair i, for every i.
class YarnRamp {
 public:
  YarnRamp(const RotarySpec& rotary, const YarnScaling& scaling) {
    const auto pair_of = [&](double n_rotations) {
      return rotary.dim *
             std::log(scaling.original_positions / (n_rotations * 2 * std::numbers::pi)) /
             (2 * std::log(rotary.theta));
    };
    double first = pair_of(scaling.beta_fast), last = pair_of(scaling.beta_slow);
    if (scaling.truncate) {
      first = std::floor(first);
      last = std::ceil(last);
    }
    first = std::max(first, 0.0);
    last = std::min(last, rotary.dim - 1.0);
    if (first == last) last += 0.001;
    first_ = static_cast<float>(first);
    width_ = static_cast<float>(last - first);
  }

  float at(int i) const {
    return std::clamp((static_cast<float>(i) - first_) / width_, 0.0F, 1.0F);
  }

 private:
  float first_, width_;
};

}  // namespace

std::vector<float> rotary_frequencies(const RotarySpec& rotary) {
  std::vector<float> powers(static_cast<std::size_t>(rotary.dim / 2)), frequencies;
  for (int i = 0; i < rotary.dim / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(rotary.dim);
    powers[static_cast<std::size_t>(i)] = std::pow(static_cast<float>(rotary.theta), exponent);
    frequencies.push_back(1.0F / powers[static_cast<std::size_t>(i)]);
  }
  if (const auto* linear = std::get_if<LinearScaling>(&rotary.scaling)) {
    for (float& frequency : frequencies) frequency /= static_cast<float>(linear->factor);
  } else if (const auto* llama3 = std::get_if<Llama3Scaling>(&rotary.scaling)) {
    for (float& frequency : frequencies) frequency = scaled(frequency, *llama3);
  } else if (const auto* yarn = std::get_if<YarnScaling>(&rotary.scaling)) {
    const YarnRamp ramp(rotary, *yarn);
    for (int i = 0; i < rotary.dim / 2; ++i) {
      const float power = powers[static_cast<std::size_t>(i)], share = ramp.at(i);
      const float stretched = 1.0F / (static_cast<float>(yarn->factor) * power);
      float& frequency = frequencies[static_cast<std::size_t>(i)];
      frequency = stretched * share + frequency * (1 - share);
    }
  }
  return frequencies;
}

float rotary_amplitude(const RotarySpec& rotary) {
  const auto* yarn = std::get_if<YarnScaling>(&rotary.scaling);
  return yarn == nullptr ? 1.0F : static_cast<float>(yarn->amplitude);
}

double yarn_amplitude(double factor, double mscale, double mscale_all_dim) {
  const auto of_scale = [&](double scale) {
    return factor <= 1 ? 1.0 : 0.1 * scale * std::log(factor) + 1.0;
  };
  if (mscale == 0 || mscale_all_dim == 0) return of_scale(1);
  return of_scale(mscale) / of_scale(mscale_all_dim);
}

}  // namespace moexray
