#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "added_tokens.h"

namespace moexray {

/// What the files beside a tokenizer say about it: `tokenizer_config.json` and, where that is
/// silent, `special_tokens_map.json`.
struct TokenizerConfig {
  bool is_there = false;  ///< tokenizer_config.json exists
  std::string where;      ///< its path, for messages
  std::string tokenizer_class;
  /// The text of a named token. Unset: the files do not speak of it; empty: they say there is none.
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<std::string> unk_token;
  std::vector<std::string>
      other_special_tokens;  ///< padding, separators and any more that are named
  std::optional<bool> legacy;
  std::optional<bool> add_prefix_space;
  std::vector<AddedToken> added_tokens;  ///< added_tokens_decoder, ids ascending
};

/// @throws Error (data) for files that are there but not what they should be.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& model_directory);

}  // namespace moexray
