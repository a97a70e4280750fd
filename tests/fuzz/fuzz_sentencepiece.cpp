// Any bytes as tokenizer.model: either an Error, or a model whose parts can be used without further
// checks. SentencePiece itself is tried in a child process and not fuzzed here.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "sentencepiece_proto.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const moexray::SentencePieceProto proto =
        moexray::parse_sentencepiece_proto(bytes, "tokenizer.model");
    for (const auto& piece : proto.pieces) {
      if (piece.text.empty() || !moexray::is_valid_utf8(piece.text)) std::abort();
    }
    const auto again = moexray::parse_sentencepiece_proto(moexray::with_identity_normalizer(proto),
                                                          "tokenizer.model");
    if (again.pieces.size() != proto.pieces.size() || again.add_dummy_prefix ||
        again.has_character_map) {
      std::abort();
    }
  } catch (const moexray::Error&) {
  }
  return 0;
}
