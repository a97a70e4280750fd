#pragma once

#include <span>
#include <string>
#include <string_view>

namespace moexray::app {

/// Texts with a separator between them.
inline std::string joined(std::span<const std::string> parts, std::string_view separator) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += separator;
    text += parts[i];
  }
  return text;
}

}  // namespace moexray::app
