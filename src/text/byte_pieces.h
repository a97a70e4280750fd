#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moexray {

/// U+2581, which stands for a space in the vocabularies of SentencePiece.
inline constexpr std::string_view space_mark = "\xE2\x96\x81";

/// The value of a byte piece "<0xNN>", which stands for a byte of a character that has no token.
std::optional<unsigned char> byte_of_piece(std::string_view piece);
/// The piece of a byte: "<0x0A>".
std::string piece_of_byte(unsigned char byte);

/// Appends bytes as Hugging Face's ByteFallback does, and clears them: one U+FFFD for each if they
/// are not UTF-8 together.
void append_fallback_bytes(std::string& text, std::string& bytes);

}  // namespace moexray
