#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace moexray::stats {

/// How long work is watched and ended from outside.
struct Work {
  const std::atomic<bool>* stop = nullptr;  ///< once true, the work ends with Error (interrupted)
  /// Called with the number of steps done since the last call, from any thread, several at a time.
  std::function<void(std::int64_t)> on_steps = {};
};

}  // namespace moexray::stats
