#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/text/tokenizer.h"

namespace moexray::test {

/// One token a byte, ids 0 … 255, and the end token 256: every UTF-8 character can be cut.
class FakeTokenizer : public Tokenizer {
 public:
  static constexpr TokenId eos_id = 256;

  Encoding encode(std::string_view text) const override {
    if (!is_valid_utf8(text)) throw Error(ErrorKind::data, "text is not valid UTF-8");
    Encoding encoding;
    for (std::size_t i = 0; i < text.size(); ++i) {
      encoding.ids.push_back(static_cast<unsigned char>(text[i]));
      encoding.spans.push_back({i, i + 1});
    }
    return encoding;
  }
  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    std::string bytes;
    for (const TokenId id : ids) {
      if (id == eos_id) {
        bytes += skip_special ? "" : "<eos>";
      } else {
        bytes += static_cast<char>(id);
      }
    }
    std::string text;
    while (!bytes.empty()) {
      const std::size_t n = find_invalid_utf8(bytes);
      text += bytes.substr(0, n);
      if (n == bytes.size()) break;
      text += "\uFFFD";
      bytes.erase(0, n + 1);
    }
    return text;
  }
  std::string piece(TokenId id) const override {
    if (id < 0 || id > eos_id) throw Error(ErrorKind::data, "no such token");
    return id == eos_id ? "<eos>" : "b" + std::to_string(id);
  }
  std::optional<TokenId> id_of(std::string_view) const override { return std::nullopt; }
  int vocab_size() const override { return eos_id + 1; }
  std::string_view kind() const override { return "bytes"; }
  const std::string& sha256() const override { return sha256_; }
  std::string bos_token() const override { return ""; }
  std::string eos_token() const override { return "<eos>"; }

 private:
  std::string sha256_ = "tokenizer";
};

}  // namespace moexray::test
