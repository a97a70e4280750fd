#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace moexray::report {

/// How many terminal columns a UTF-8 text takes: combining marks none, East Asian wide characters
/// and emoji two; what joiners, variation selectors and skin tones make of several is one emoji.
std::size_t display_width(std::string_view text);

/// `text` in at most `width` columns: of what is wider, both ends with "…" between.
std::string shortened(std::string_view text, std::size_t width);

/// `text` in lines of at most `width` columns, broken between words, inside a word only if the word
/// alone is wider. Line ends of the text are kept. 0: as it is, in its own lines. At least one
/// line.
std::vector<std::string> wrapped(std::string_view text, std::size_t width);

}  // namespace moexray::report
