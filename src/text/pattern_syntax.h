#pragma once

#include <string>
#include <string_view>

namespace moexray {

/// A pattern of a tokenizer as libonig is to read it: classes of characters by general category
/// (`\p{L}`, `\P{Nd}`, `\d`, …) are written out from the tables of Unicode 16, whatever libonig's
/// own version of Unicode is.
///
/// What no tokenizer needs and what can take more than a time bounded by the text's length between
/// two steps back is refused: back references, calls, conditions, callouts, absence, named groups,
/// options other than `i` and `m`, repetition without limit inside look-around, large counts, deep
/// nesting.
/// @param where the file and the key, for messages.
/// @throws Error (data) with the position of what is refused or malformed.
std::string rewrite_pattern(std::string_view pattern, const std::string& where);

}  // namespace moexray
