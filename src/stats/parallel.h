#pragma once

#include <atomic>
#include <functional>

namespace moexray::stats {

/// Calls body(0) … body(n − 1), up to n_threads at a time, in this order. Starts no more once one
/// has thrown; when all that were started have ended, rethrows the exception of the lowest index
/// that threw, which is the same whatever the threads.
void parallel_for(int n, int n_threads, const std::function<void(int)>& body);

/// Throws Error (interrupted) once `stop`, if there is one, is true.
void throw_if_stopped(const std::atomic<bool>* stop);

}  // namespace moexray::stats
