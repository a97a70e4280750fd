#include "byte_alphabet.h"

#include "unicode.h"

namespace moexray {

ByteAlphabet::ByteAlphabet() {
  bytes_.fill(-1);
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool is_printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const char32_t stand_in = is_printable ? static_cast<char32_t>(byte) : next++;
    unicode::append_utf8(chars_[static_cast<std::size_t>(byte)], stand_in);
    bytes_[stand_in] = static_cast<std::int16_t>(byte);
  }
}

std::string ByteAlphabet::bytes_of(std::string_view piece) const {
  std::string bytes;
  for (std::size_t pos = 0; pos < piece.size();) {
    const char32_t c = unicode::next_code_point(piece, pos);
    if (c >= bytes_.size() || bytes_[c] < 0) return std::string(piece);
    bytes += static_cast<char>(bytes_[c]);
  }
  return bytes;
}

}  // namespace moexray
