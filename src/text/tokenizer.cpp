#include "moexray/text/tokenizer.h"

#include <system_error>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "tokenizers.h"

namespace moexray {

void check_text(std::string_view text) {
  if (text.size() > max_text_bytes) {
    throw Error(ErrorKind::data, {"text too long",
                                  {},
                                  "at most " + std::to_string(max_text_bytes) + " bytes",
                                  std::to_string(text.size())});
  }
  const std::size_t offset = find_invalid_utf8(text);
  if (offset != text.size()) {
    throw Error(ErrorKind::data,
                "text is not valid UTF-8 at byte offset " + std::to_string(offset));
  }
}

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& model_directory,
                                          const std::filesystem::path& module_directory,
                                          std::vector<std::string>* notices) {
  std::error_code code;
  const auto json_path = model_directory / "tokenizer.json";
  const auto model_path = model_directory / "tokenizer.model";
  const bool has_json = std::filesystem::exists(json_path, code);
  const bool has_model = std::filesystem::exists(model_path, code);
  if (!has_json && !has_model) {
    throw Error(ErrorKind::data, {"no tokenizer", model_directory.string(),
                                  "tokenizer.json or tokenizer.model", "neither"});
  }
  const TokenizerConfig config = read_tokenizer_config(model_directory);
  if (!has_json) return open_sentencepiece(model_path, module_directory, config);
  try {
    return open_tokenizer_json(json_path, config);
  } catch (const UnsupportedTokenizer& unsupported) {
    if (!has_model) throw;
    std::unique_ptr<Tokenizer> tokenizer;
    try {
      tokenizer = open_sentencepiece(model_path, module_directory, config);
    } catch (const Error&) {
      throw unsupported;  // what would be needed
    }
    if (notices != nullptr) {
      notices->push_back("tokenizer.model is used, as tokenizer.json is not supported: " +
                         std::string(unsupported.what()));
    }
    return tokenizer;
  }
}

}  // namespace moexray
