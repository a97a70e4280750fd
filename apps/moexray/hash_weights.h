#pragma once

#include <string>

#include "console.h"
#include "moexray/checkpoint/checkpoint.h"

namespace moexray::app {

/// weights_xxh3() of a checkpoint, with progress where it takes its time. What took it is kept in
/// the user's cache (WeightsHashCache) and read from there while the files stay as they are.
/// @param n_threads 0: all this process may use
/// @param again computes it whatever the cache says
/// @throws Error (interrupted)
std::string hash_weights(const Checkpoint& checkpoint, int n_threads, bool again, Console& console);

}  // namespace moexray::app
