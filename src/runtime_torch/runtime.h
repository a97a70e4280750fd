#pragma once

#include "moexray/runtime/model.h"

namespace moexray::torch_runtime {

/// The one runtime of the module.
Runtime& runtime();

}  // namespace moexray::torch_runtime
