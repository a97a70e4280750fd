#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace moexray::report {

/// The code point at the start of well-formed UTF-8, which is consumed.
inline char32_t take_code_point(std::string_view& text) {
  const auto lead = static_cast<std::uint8_t>(text[0]);
  const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t c = length == 1 ? lead : lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length && i < text.size(); ++i) {
    c = (c << 6) | (static_cast<std::uint8_t>(text[i]) & 0x3FU);
  }
  text.remove_prefix(std::min(length, text.size()));
  return c;
}

}  // namespace moexray::report
