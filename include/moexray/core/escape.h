#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace moexray {

/// Makes foreign text safe to print on a terminal: C0 and C1 control characters (tab and newline
/// included), DEL and bytes that are not UTF-8 become `\xNN`. Text longer than `max_bytes` is cut
/// at a character and ends in "…".
std::string printable(std::string_view text, std::size_t max_bytes = 400);

/// True if `text` is well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF).
bool is_valid_utf8(std::string_view text);

/// The byte offset of the first malformed UTF-8 sequence, or `text.size()` if there is none.
std::size_t find_invalid_utf8(std::string_view text);

}  // namespace moexray
