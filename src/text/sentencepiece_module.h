#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/routing.h"

namespace moexray {

/// A SentencePiece model as its module offers it. Errors cross the module's edge as text.
class SentencePieceModel {
 public:
  struct Token {
    TokenId id = 0;
    std::size_t begin =
        0;  ///< bytes of the encoded text; several byte pieces of one character share them
    std::size_t end = 0;
  };

  virtual ~SentencePieceModel() = default;
  virtual int n_pieces() const = 0;
  /// Encodes well-formed UTF-8 into `tokens`. Returns what went wrong, empty if nothing did.
  virtual std::string encode(std::string_view text, std::vector<Token>& tokens) const = 0;
};

/// The factory of the module: a model from the bytes of a `tokenizer.model`, or null and a message.
/// The caller owns the model.
inline constexpr const char* sentencepiece_factory = "moexray_sentencepiece_open";
using SentencePieceFactory = SentencePieceModel* (*)(const char* bytes, std::size_t n_bytes,
                                                     std::string* message);

}  // namespace moexray
