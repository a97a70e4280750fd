#pragma once

#include <cstdint>

#include "../torch_api.h"

namespace moexray::torch_runtime {

/// AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).
struct AdamW {
  at::Tensor first;   ///< running mean of the gradient, [n]
  at::Tensor second;  ///< running mean of its square, [n]

  struct Options {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    double gradient_scale;   ///< the gradient is multiplied by this (clipping)
    std::int64_t n_decayed;  ///< parameters before this index decay
  };

  /// One update of `values` [n]; `step` counts from 1.
  void update(at::Tensor& values, const at::Tensor& gradients, std::int64_t step,
              const Options& options);
};

}  // namespace moexray::torch_runtime
