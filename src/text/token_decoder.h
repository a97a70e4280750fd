#pragma once

#include <string>
#include <variant>
#include <vector>

#include "json_steps.h"
#include "text_pattern.h"

namespace moexray {

/// How the pieces of tokens become a text: the steps of "decoder" in tokenizer.json, each of which
/// makes other texts of the list of texts that it gets; the last ones are joined.
class TokenDecoder {
 public:
  struct ByteLevel {};     ///< one text: the bytes that the printable stand-ins stand for
  struct ByteFallback {};  ///< neighbouring "<0xNN>" become the text of these bytes
  struct Fuse {};          ///< all texts become one
  struct Replace {
    TextPattern pattern;
    std::string content;
  };
  struct Strip {
    std::string content;  ///< one character
    std::size_t start = 0;
    std::size_t stop = 0;  ///< how many of them are taken from begin and end of a text
  };
  struct Metaspace {
    std::string replacement;
    bool prepends = true;  ///< those of the first text are dropped
  };
  using Step = std::variant<ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace>;

  TokenDecoder() = default;
  explicit TokenDecoder(std::vector<Step> steps) : steps_(std::move(steps)) {}

  bool is_byte_level() const {
    return steps_.size() == 1 && std::holds_alternative<ByteLevel>(steps_[0]);
  }
  /// @throws Error (data) if the steps take too long.
  std::string decode(std::vector<std::string> pieces) const;

 private:
  std::vector<Step> steps_;
};

/// @throws Error (data) naming file and key of what is malformed or not supported.
TokenDecoder parse_token_decoder(const json_steps::Json& json, const std::string& file);

}  // namespace moexray
