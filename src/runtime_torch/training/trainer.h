#pragma once

#include "moexray/runtime/training.h"

namespace moexray::torch_runtime {

/// The one trainer of the module.
Trainer& trainer();

}  // namespace moexray::torch_runtime
