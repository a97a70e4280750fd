#pragma once

#include <memory>
#include <string_view>

#include "kernels/kernel_sets.h"
#include "moexray/checkpoint/checkpoint.h"
#include "moexray/runtime/model.h"
#include "torch_api.h"

namespace moexray::torch_runtime {

/// Makes a model of a checkpoint's architecture: one row of the registry each.
/// @param set multiplies in bfloat16 on the CPU; null: libtorch does, or the float32 kernels.
/// @throws Error (data) for an architecture without a row.
std::unique_ptr<Model> make_model(const Checkpoint& checkpoint, at::ScalarType dtype,
                                  const at::Device& device, int n_threads,
                                  const kernels::KernelSet* set);

}  // namespace moexray::torch_runtime
