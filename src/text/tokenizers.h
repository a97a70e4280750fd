#pragma once

#include <filesystem>
#include <memory>

#include "moexray/core/error.h"
#include "moexray/text/tokenizer.h"
#include "tokenizer_config.h"

namespace moexray {

/// The largest tokenizer files that are read.
inline constexpr std::uint64_t max_tokenizer_bytes = 128'000'000;
/// The longest text that is encoded at once.
inline constexpr std::size_t max_text_bytes = 1'000'000'000;

/// An Error (data) about a tokenizer.json that is well-formed and needs what moexray does not have:
/// a tokenizer.model beside it may be used instead.
class UnsupportedTokenizer : public Error {
 public:
  explicit UnsupportedTokenizer(const Error& error) : Error(error) {}
};

/// @throws Error (data) with the byte offset of the first invalid byte, or if the text is too long.
void check_text(std::string_view text);

/// Opens `tokenizer.json`. @throws Error (data), as open_tokenizer.
std::unique_ptr<Tokenizer> open_tokenizer_json(const std::filesystem::path& path,
                                               const TokenizerConfig& config);
/// The same from the bytes of the file.
std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view bytes, const std::string& where,
                                                const TokenizerConfig& config);

/// Opens `tokenizer.model` through the SentencePiece module, after a trial in a child process.
std::unique_ptr<Tokenizer> open_sentencepiece(const std::filesystem::path& path,
                                              const std::filesystem::path& module_directory,
                                              const TokenizerConfig& config);

}  // namespace moexray
