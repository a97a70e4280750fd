#pragma once

#include <string>

#include "console.h"

namespace moexray::app {

/// Reads standard input to its end (4 GiB at most). Ctrl-C is heeded while it waits.
/// @throws Error (interrupted), (data) if it cannot be read or is too long.
std::string read_standard_input(const Console& console);

}  // namespace moexray::app
