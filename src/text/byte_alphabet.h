#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace moexray {

/// GPT-2's printable stand-ins for the 256 bytes: what vocabularies of byte-level BPE are written
/// in.
class ByteAlphabet {
 public:
  ByteAlphabet();
  /// The stand-in of a byte, UTF-8.
  const std::string& of(unsigned char byte) const { return chars_[byte]; }
  /// The bytes a vocabulary entry stands for; an entry with any other character stands for itself.
  std::string bytes_of(std::string_view piece) const;

 private:
  std::array<std::string, 256> chars_;
  std::array<std::int16_t, 0x180> bytes_;  ///< by code point; −1: none
};

}  // namespace moexray
