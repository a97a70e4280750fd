#pragma once

#include <memory>
#include <string_view>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/runtime/model.h"
#include "torch_api.h"

namespace moexray::torch_runtime {

/// Makes a model of a checkpoint's architecture: one row of the registry each.
/// @throws Error (data) for an architecture without a row.
std::unique_ptr<Model> make_model(const Checkpoint& checkpoint, at::ScalarType dtype,
                                  const at::Device& device, int n_threads, bool fast);

}  // namespace moexray::torch_runtime
