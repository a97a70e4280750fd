#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/escape.h"

namespace moexray {

/// A foreign name for an error message: escaped, shortened, in double quotes.
inline std::string in_quotes(std::string_view name) { return '"' + printable(name, 160) + '"'; }

/// "[64, 2048]".
inline std::string describe_shape(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(size);
  }
  return text + "]";
}

}  // namespace moexray
