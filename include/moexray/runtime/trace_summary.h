#pragma once

#include <filesystem>
#include <string>

namespace moexray {

/// A finished trace directory in a few lines, read back from disk. @throws Error as open_traces()
/// does.
std::string trace_summary(const std::filesystem::path& directory);

}  // namespace moexray
