#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "aligned_text.h"

namespace moexray::unicode {

/// The code point at `pos` of well-formed UTF-8; `pos` moves behind it.
char32_t next_code_point(std::string_view text, std::size_t& pos);
/// The code point that ends before `pos` > 0; `pos` moves to its start.
char32_t previous_code_point(std::string_view text, std::size_t& pos);
void append_utf8(std::string& text, char32_t code_point);

bool is_letter(char32_t c);       ///< \p{L}
bool is_number(char32_t c);       ///< \p{N}
bool is_white_space(char32_t c);  ///< \s: the property White_Space
bool is_word(char32_t c);         ///< \w: Alphabetic, M, Nd, Pc, Join_Control

// Classes and NFC are ICU's, adapted to what Hugging Face's tokenizers 0.23 have: classes of
// Unicode 16, NFC of Unicode 9.

/// Normalisation Form C of well-formed UTF-8, with the bytes each piece came from. Time is
/// O(n log n) also for long runs of combining marks.
AlignedText nfc(std::string_view text);

/// Replaces every maximal ill-formed subsequence by U+FFFD, as the Unicode Standard recommends
/// (3.9, U+FFFD Substitution of Maximal Subparts).
std::string replace_invalid_utf8(std::string_view bytes);

}  // namespace moexray::unicode
