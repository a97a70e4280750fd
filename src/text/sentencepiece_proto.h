#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moexray {

/// The parts of a serialised SentencePiece `ModelProto` that moexray looks at itself.
struct SentencePieceProto {
  enum class PieceType : std::uint8_t {
    normal = 1,
    unknown = 2,
    control = 3,
    user_defined = 4,
    unused = 5,
    byte = 6,
  };
  struct Piece {
    std::string text;
    PieceType type = PieceType::normal;
  };

  std::vector<Piece> pieces;
  bool is_bpe = false;  ///< else Unigram, word or character
  bool byte_fallback = false;
  std::int64_t bos_id = 1;
  std::int64_t eos_id = 2;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  bool has_character_map = false;  ///< normalises other than by identity
  /// The same model without the parts that encoding does not need (self test, denormaliser).
  std::string bytes;
};

/// Reads the protobuf wire format, checking every length, and what SentencePiece takes for granted:
/// unique pieces of valid UTF-8, finite scores, one unknown piece.
/// @throws Error (data) naming `where`.
SentencePieceProto parse_sentencepiece_proto(std::string_view bytes, const std::string& where);

/// `proto.bytes` with the normaliser set to identity, without an added space in front, with the
/// white space kept.
std::string with_identity_normalizer(const SentencePieceProto& proto);

}  // namespace moexray
