#include "byte_pieces.h"

#include <fmt/core.h>

#include <charconv>

#include "moexray/core/escape.h"
#include "unicode.h"

namespace moexray {

std::optional<unsigned char> byte_of_piece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return std::nullopt;
  unsigned char byte = 0;
  const auto [end, code] = std::from_chars(piece.data() + 3, piece.data() + 5, byte, 16);
  if (code != std::errc() || end != piece.data() + 5) return std::nullopt;
  return byte;
}

std::string piece_of_byte(unsigned char byte) { return fmt::format("<0x{:02X}>", byte); }

void append_fallback_bytes(std::string& text, std::string& bytes) {
  if (is_valid_utf8(bytes)) {
    text += bytes;
  } else {
    for (std::size_t i = 0; i < bytes.size(); ++i) unicode::append_utf8(text, 0xFFFD);
  }
  bytes.clear();
}

}  // namespace moexray
