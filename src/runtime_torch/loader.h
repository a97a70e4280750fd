#pragma once

#include "decoder.h"
#include "moexray/checkpoint/checkpoint.h"

namespace moexray::torch_runtime {

/// A weight where it is mapped, or a copy if it is misaligned. Not to be written to.
at::Tensor mapped_tensor(const TensorView& view);

/// A matrix for a computation of type `dtype` on `device`, as load_decoder() has them.
at::Tensor loaded_matrix(const TensorView& view, at::ScalarType dtype, const at::Device& device);

/// The weights of a checkpoint for a computation of type `dtype` on `device`. On the CPU weights
/// stay where they are mapped if their type allows it: bfloat16 weights serve both types of
/// computation, since float32 kernels widen them as they read; float16 ones, misaligned ones and
/// norms of another type are converted copies. Biases are float32.
Decoder load_decoder(const Checkpoint& checkpoint, at::ScalarType dtype, const at::Device& device);

}  // namespace moexray::torch_runtime
