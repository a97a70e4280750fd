#include "adamw.h"

#include <cmath>

namespace moexray::torch_runtime {

void AdamW::update(at::Tensor& values, const at::Tensor& gradients, std::int64_t step,
                   const Options& options) {
  auto *w = values.data_ptr<float>(), *m = first.data_ptr<float>(), *v = second.data_ptr<float>();
  const auto* g = gradients.data_ptr<float>();
  const auto beta1 = static_cast<float>(options.beta1), beta2 = static_cast<float>(options.beta2);
  const auto scale = static_cast<float>(options.gradient_scale);
  const double correction1 = 1.0 - std::pow(options.beta1, static_cast<double>(step));
  const double correction2 = 1.0 - std::pow(options.beta2, static_cast<double>(step));
  const auto rate = static_cast<float>(options.learning_rate / correction1);
  const auto root = static_cast<float>(1.0 / std::sqrt(correction2));
  const auto epsilon = static_cast<float>(options.epsilon);
  const auto keep = static_cast<float>(1.0 - options.learning_rate * options.weight_decay);
  at::parallel_for(0, values.numel(), 1 << 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float gradient = g[i] * scale;
      m[i] += (1.0F - beta1) * (gradient - m[i]);
      v[i] += (1.0F - beta2) * (gradient * gradient - v[i]);
      const float decayed = i < options.n_decayed ? w[i] * keep : w[i];
      w[i] = decayed - rate * m[i] / (std::sqrt(v[i]) * root + epsilon);
    }
  });
}

}  // namespace moexray::torch_runtime
