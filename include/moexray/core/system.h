#pragma once

#include <cstdint>

namespace moexray {

/// How many threads this process may use: the smallest of the affinity mask, the cgroup's CPU quota
/// (rounded up) and the hardware; at least 1.
int available_threads();

/// How much memory this process may use in bytes: the smaller of physical memory and the cgroup
/// limit.
std::uint64_t available_memory_bytes();

}  // namespace moexray
