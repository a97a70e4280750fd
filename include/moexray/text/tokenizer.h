#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/routing.h"

namespace moexray {

/// A half-open byte range [begin, end) of the text that was encoded.
struct TextSpan {
  std::size_t begin = 0;
  std::size_t end = 0;
};

struct Encoding {
  std::vector<TokenId> ids;
  std::vector<TextSpan> spans;  ///< [ids]: the bytes of the original text each token came from
};

/// Turns text into token ids and back, as Hugging Face's `tokenizers` does for the same files.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids of `text`, added tokens inside it recognised, no begin or end token added.
  /// @throws Error (data) if `text` is not valid UTF-8.
  virtual Encoding encode(std::string_view text) const = 0;
  /// Text of `ids`; special tokens are kept unless `skip_special`. Bytes that do not form UTF-8
  /// become U+FFFD as Hugging Face shows them.
  /// Ids below vocab_size() that no token has are passed over.
  /// @throws Error (data) for an id outside the vocabulary.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special) const = 0;
  /// The vocabulary entry of an id, as `convert_ids_to_tokens` gives it; "" if no token has
  /// the id. @throws Error (data) for an id outside the vocabulary.
  virtual std::string piece(TokenId id) const = 0;
  /// The id of a vocabulary entry or added token.
  virtual std::optional<TokenId> id_of(std::string_view piece) const = 0;

  virtual int vocab_size() const = 0;             ///< ids are below this (added tokens included)
  virtual std::string_view kind() const = 0;      ///< "byte_level_bpe", "bpe" or "sentencepiece"
  virtual const std::string& sha256() const = 0;  ///< of tokenizer.json or tokenizer.model, and
                                                  ///< of what the files beside it change
  virtual std::string bos_token() const = 0;      ///< text of the begin token, "" if there is none
  virtual std::string eos_token() const = 0;

  /// What transformers puts before and after a text that no chat template has rendered, because the
  /// tokenizer's files say so. encode() leaves it out.
  virtual std::span<const TokenId> begin_ids() const { return {}; }
  virtual std::span<const TokenId> end_ids() const { return {}; }
};

/// Opens the tokenizer of a checkpoint directory: `tokenizer.json` (byte-pair encoding) if that is
/// there, else, or if it needs what moexray does not have, `tokenizer.model` (SentencePiece,
/// through its module, whose directory is `module_directory`). Tokens and settings that stand only
/// in the files beside it (`tokenizer_config.json`, `added_tokens.json`, `special_tokens_map.json`)
/// count as for transformers' AutoTokenizer.
/// @param notices if given, gets what the user should know: that the second file was taken.
/// @throws Error (data) for a malformed or unsupported tokenizer, naming file and key.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& model_directory,
                                          const std::filesystem::path& module_directory,
                                          std::vector<std::string>* notices = nullptr);

}  // namespace moexray
