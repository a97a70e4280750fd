#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "added_tokens.h"
#include "bpe.h"
#include "normalizer.h"
#include "pre_tokenizer.h"
#include "token_decoder.h"
#include "tokenizer_config.h"

namespace moexray {

/// What a `tokenizer.json` of the supported kind says: byte-pair encoding, of bytes or of
/// characters.
struct BpeModel {
  std::unordered_map<std::string, TokenId> vocab;
  std::vector<std::string> pieces;  ///< by id, added tokens included; "" at ids that no token has
  std::vector<std::string> bytes;   ///< by id, of bytes: what the token decodes to
  std::array<TokenId, 256> byte_ids = {};  ///< of bytes, or of the pieces "<0xNN>"; −1: none
  BpeMerges merges;
  AddedTokens added;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  TokenDecoder decoder;
  bool ignore_merges = false;
  bool byte_fallback = false;  ///< a character without a token is spelled in "<0xNN>"
  bool fuse_unk = false;       ///< neighbouring characters without a token are one unknown token
  std::optional<TokenId> unk_id;
  /// What the post-processor puts before and after a text.
  std::vector<TokenId> begin_ids;
  std::vector<TokenId> end_ids;
  /// What the files beside change, as text: part of what the tokenizer is. Empty: nothing.
  std::string changes;

  bool is_byte_level() const { return pre_tokenizer.is_byte_level(); }
};

/// Parses the bytes of a `tokenizer.json` and applies what the files beside it change, as
/// transformers' AutoTokenizer does: their tokens, and the normaliser, the added space and the
/// post-processor that the classes of GPT-2 and GPT-NeoX bring along. `where` names the file in
/// messages.
/// @throws Error (data) naming the key of whatever is malformed, UnsupportedTokenizer for what is
///   well-formed and not supported.
BpeModel parse_bpe_model(std::string_view json_text, const std::string& where,
                         const TokenizerConfig& config);

}  // namespace moexray
