#pragma once

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "added_tokens.h"
#include "bpe.h"
#include "tokenizer_config.h"

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

/// What a `tokenizer.json` of the supported kind says.
struct ByteLevelModel {
  std::unordered_map<std::string, TokenId> vocab;
  std::vector<std::string> pieces;  ///< by id, added tokens included; "" at ids that no token has
  std::vector<std::string> bytes;   ///< by id: what the token decodes to
  std::array<TokenId, 256> byte_ids = {};
  BpeMerges merges;
  AddedTokens added;
  bool normalizes = false;  ///< NFC
  bool add_prefix_space = false;
  bool ignore_merges = false;
  /// What the post-processor puts before and after a text.
  std::vector<TokenId> begin_ids;
  std::vector<TokenId> end_ids;
  /// What the files beside change, as text: part of what the tokenizer is. Empty: nothing.
  std::string changes;
};

/// Parses the bytes of a `tokenizer.json` and applies what the files beside it change, as
/// transformers' AutoTokenizer does: their tokens, and the normaliser, the added space and the
/// post-processor that the classes of GPT-2 and GPT-NeoX bring along. `where` names the file in
/// messages.
/// @throws Error (data) naming the key of whatever is malformed or not supported.
ByteLevelModel parse_byte_level_model(std::string_view json_text, const std::string& where,
                                      const TokenizerConfig& config);

}  // namespace moexray
