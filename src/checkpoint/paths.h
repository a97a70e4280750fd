#pragma once

#include <filesystem>
#include <system_error>

namespace moexray {

/// Whether something stands at this path; what cannot be looked at does not.
inline bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace moexray
