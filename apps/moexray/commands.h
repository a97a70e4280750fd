#pragma once

#include "command.h"

namespace moexray::app {

// Each is defined in cmd_<name>.cpp.

}  // namespace moexray::app
