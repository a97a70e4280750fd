#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "added_tokens.h"

namespace moexray {

/// What the files beside a tokenizer say about it: `tokenizer_config.json` and, where that has no
/// `added_tokens_decoder`, `special_tokens_map.json` and `added_tokens.json`, as transformers reads
/// them.
struct TokenizerConfig {
  bool is_there = false;  ///< tokenizer_config.json exists
  std::string where;      ///< its path, for messages
  std::string tokenizer_class;
  /// The model's type has transformers pass the class over and take tokenizer.json as it is.
  bool takes_file_as_it_is = false;
  /// The text of a named token. Unset: the files do not speak of it; empty: they say there is none.
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<std::string> unk_token;
  /// All named tokens in the order in which they get ids: begin, end, unknown, separator, padding,
  /// class, mask, those under keys of the model's own ("image_token") and the additional ones.
  /// Their own ids are not known here (−1).
  std::vector<AddedToken> named_tokens;
  std::optional<bool> legacy;
  std::optional<bool> add_prefix_space;
  bool add_bos_token = false;
  bool add_eos_token = false;
  std::vector<AddedToken> added_tokens;  ///< with the ids that the file gives, ascending
  std::string added_tokens_where;        ///< the path of that file
  bool has_decoder = false;              ///< they come from added_tokens_decoder
};

/// @throws Error (data) for files that are there but not what they should be.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& model_directory);

/// Puts the tokens that the files beside the tokenizer name into the list of those it has.
/// @throws Error (data) for one that the file gives an id which it does not get.
void put_configured_tokens(const TokenizerConfig& config, AddedTokenList& list);

}  // namespace moexray
