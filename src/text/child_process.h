#pragma once

#include <functional>
#include <string>

namespace moexray {

/// Runs `work` in a forked child with limits on its processor time and memory, its stderr closed
/// and no core dump. Returns what `work` returned, or a description of how the child died. Empty:
/// all went well. `work` must not throw.
/// @throws Error (runtime) if no child can be started.
std::string run_in_child(const std::function<std::string()>& work, int time_limit_seconds);

}  // namespace moexray
