// The SentencePiece module: the only code that is linked to libsentencepiece.

#include <sentencepiece_processor.h>

#include <exception>
#include <memory>

#include "moexray/core/version.h"
#include "sentencepiece_module.h"

namespace moexray {
namespace {

class Model final : public SentencePieceModel {
 public:
  std::string load(std::string_view bytes) {
    return processor_.LoadFromSerializedProto({bytes.data(), bytes.size()}).ToString();
  }

  int n_pieces() const override { return processor_.GetPieceSize(); }

  std::string encode(std::string_view text, std::vector<Token>& tokens) const override {
    try {
      const auto pieces = processor_.EncodeAsImmutableProto({text.data(), text.size()});
      const auto n = pieces.pieces_size();
      tokens.resize(n);
      for (std::size_t i = 0; i < n; ++i) {
        const auto piece = pieces.pieces(static_cast<int>(i));
        tokens[i] = {static_cast<TokenId>(piece.id()), piece.begin(), piece.end()};
      }
      // Of the byte pieces of a character only the last one carries its range.
      for (std::size_t i = n; i-- > 1;) {
        if (tokens[i - 1].begin == tokens[i - 1].end && processor_.IsByte(tokens[i - 1].id)) {
          tokens[i - 1].end = tokens[i].end;
        }
      }
      return n == 0 && !text.empty() ? "the text has no encoding" : "";
    } catch (const std::exception& error) {
      return error.what();
    }
  }

 private:
  sentencepiece::SentencePieceProcessor processor_;
};

}  // namespace
}  // namespace moexray

extern "C" {

__attribute__((visibility("default"))) const char* moexray_module_version() {
  return moexray::version().data();
}

__attribute__((visibility("default"))) moexray::SentencePieceModel* moexray_sentencepiece_open(
    const char* bytes, std::size_t n_bytes, std::string* message) {
  try {
    auto model = std::make_unique<moexray::Model>();
    *message = model->load({bytes, n_bytes});
    if (*message == "OK") message->clear();
    return message->empty() ? model.release() : nullptr;
  } catch (const std::exception& error) {
    *message = error.what();
    return nullptr;
  }
}

}  // extern "C"
