#pragma once

#include <string>

#include "console.h"
#include "moexray/checkpoint/checkpoint.h"

namespace moexray::app {

/// weights_xxh3() of a checkpoint, with progress where it takes its time.
/// @param n_threads 0: all this process may use
/// @throws Error (interrupted)
std::string hash_weights(const Checkpoint& checkpoint, int n_threads, Console& console);

}  // namespace moexray::app
