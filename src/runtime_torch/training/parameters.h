#pragma once

#include <string>
#include <vector>

#include "../decoder.h"
#include "moexray/checkpoint/config.h"

namespace moexray::torch_runtime {

/// All parameters of a model in one float32 buffer, with a gradient buffer of the same layout: what
/// an optimiser walks over in one loop. Matrices come first, norms after them.
struct Parameters {
  at::Tensor values;            ///< [n]
  at::Tensor gradients;         ///< [n]
  std::int64_t n_matrices = 0;  ///< values before this offset belong to matrices and decay
  ModelConfig config;
  Decoder model;  ///< its tensors are leaves that share the buffers
};

/// Parameters with random weights: matrices normal with deviation 1/√fan_in (output projections of
/// a residual branch divided by √(2 · layers), router and embeddings 0.02 and 0.1), norms one. A
/// function of the seed alone.
/// @throws Error (data) for models that training is not implemented for: all but OLMoE, and tied
///   embeddings.
Parameters make_parameters(const ModelConfig& config, std::uint64_t seed);

/// A tensor under its Hugging Face name, in the parameters' own memory.
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

/// Every tensor of the checkpoint layout (experts apart), in the order of expected_tensors().
std::vector<NamedTensor> named_tensors(Parameters& parameters);

}  // namespace moexray::torch_runtime
