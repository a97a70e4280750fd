#pragma once

#include <vector>

#include "moexray/architecture/model_spec.h"

namespace moexray {

/// The angles f_i, i < dim / 2, by which a position turns the pairs of a head's values, in float32
/// as transformers computes them. With p_i = theta^(2i/dim):
///
/// - no scaling: 1 / p_i; linear: 1 / p_i / factor.
/// - llama3, for the wavelength λ = 2π p_i and the context L before it was stretched: 1 / p_i where
///   λ < L / high_freq_factor, 1 / p_i / factor where λ > L / low_freq_factor, and between them
///   (1 − s) / p_i / factor + s / p_i with s = (L / λ − low) / (high − low).
/// - yarn (arXiv 2309.00071): r_i / (factor · p_i) + (1 − r_i) / p_i with the ramp
///   r_i = clamp((i − a) / (b − a), 0, 1) from a = c(beta_fast) to b = c(beta_slow),
///   c(n) = dim · ln(L / 2πn) / (2 ln theta); `truncate` rounds a down and b up, and both stay in
///   [0, dim − 1].
std::vector<float> rotary_frequencies(const RotarySpec& rotary);

/// What cos and sin are multiplied by: 1 but for yarn.
float rotary_amplitude(const RotarySpec& rotary);

/// The amplitude that yarn gives a context stretched by `factor` where the config does not say:
/// 0.1 · ln(factor) + 1, or 1 for a factor of 1 or less; with both `mscale` and `mscale_all_dim`
/// (0: absent) it is m(mscale) / m(mscale_all_dim), m(c) = 0.1 · c · ln(factor) + 1.
double yarn_amplitude(double factor, double mscale = 0, double mscale_all_dim = 0);

}  // namespace moexray
