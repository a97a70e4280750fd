#include "tokenizer_config.h"

#include <algorithm>
#include <charconv>

#include "json_file.h"
#include "moexray/core/error.h"

namespace moexray {
namespace {

using json_file::Json;

constexpr std::uint64_t max_config_bytes = 32'000'000;
constexpr TokenId max_token_id = 1 << 28;

// A token is given as a string or as an object with its content.
std::optional<std::string> named_token(const Json& object, const char* key,
                                       const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) return std::nullopt;
  if (found->is_null()) return std::string();
  const Json& content = found->is_object() ? json_file::member(*found, "content") : *found;
  if (!content.is_string()) json_file::fail(where, key, "wrong type", "a string", content);
  return content.get<std::string>();
}

void read_other_special_tokens(const Json& object, const std::string& where,
                               TokenizerConfig& config) {
  for (const char* key : {"pad_token", "sep_token", "cls_token", "mask_token"}) {
    const auto token = named_token(object, key, where);
    if (token && !token->empty()) config.other_special_tokens.push_back(*token);
  }
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    for (const Json& token : json_file::member(object, key)) {
      const Json& content = token.is_object() ? json_file::member(token, "content") : token;
      if (!content.is_string()) json_file::fail(where, key, "wrong type", "strings", content);
      config.other_special_tokens.push_back(content.get<std::string>());
    }
  }
}

std::optional<bool> optional_bool(const Json& object, const char* key, const std::string& where) {
  if (json_file::member(object, key).is_null()) return std::nullopt;
  return json_file::bool_or(object, key, false, where);
}

TokenId parse_token_id(const std::string& text, const std::string& where) {
  TokenId id = -1;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (code != std::errc() || end != text.data() + text.size() || id < 0 || id >= max_token_id) {
    json_file::fail(where, "added_tokens_decoder", "bad token id", "a decimal number", text);
  }
  return id;
}

std::vector<AddedToken> read_added_tokens(const Json& config, const std::string& where) {
  const Json& decoder = json_file::member(config, "added_tokens_decoder");
  std::vector<AddedToken> tokens;
  if (decoder.is_null()) return tokens;
  if (!decoder.is_object()) {
    json_file::fail(where, "added_tokens_decoder", "wrong type", "an object", decoder);
  }
  for (const auto& [key, value] : decoder.items()) {
    if (!value.is_object()) {
      json_file::fail(where, "added_tokens_decoder." + key, "wrong type", "an object", value);
    }
    AddedToken token;
    token.id = parse_token_id(key, where);
    token.content = json_file::string_or(value, "content", "", where);
    token.special = json_file::bool_or(value, "special", false, where);
    token.normalized = json_file::bool_or(value, "normalized", !token.special, where);
    token.single_word = json_file::bool_or(value, "single_word", false, where);
    token.lstrip = json_file::bool_or(value, "lstrip", false, where);
    token.rstrip = json_file::bool_or(value, "rstrip", false, where);
    tokens.push_back(std::move(token));
  }
  std::sort(tokens.begin(), tokens.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  return tokens;
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::filesystem::path& model_directory) {
  TokenizerConfig config;
  const auto path = model_directory / "tokenizer_config.json";
  config.where = path.string();
  if (const auto json = json_file::read_object_if_there(path, max_config_bytes)) {
    config.is_there = true;
    config.tokenizer_class = json_file::string_or(*json, "tokenizer_class", "", config.where);
    config.bos_token = named_token(*json, "bos_token", config.where);
    config.eos_token = named_token(*json, "eos_token", config.where);
    config.unk_token = named_token(*json, "unk_token", config.where);
    read_other_special_tokens(*json, config.where, config);
    config.legacy = optional_bool(*json, "legacy", config.where);
    config.add_prefix_space = optional_bool(*json, "add_prefix_space", config.where);
    config.added_tokens = read_added_tokens(*json, config.where);
  }
  const auto map_path = model_directory / "special_tokens_map.json";
  if (const auto map = json_file::read_object_if_there(map_path, max_config_bytes)) {
    const std::string where = map_path.string();
    if (!config.bos_token) config.bos_token = named_token(*map, "bos_token", where);
    if (!config.eos_token) config.eos_token = named_token(*map, "eos_token", where);
    if (!config.unk_token) config.unk_token = named_token(*map, "unk_token", where);
    read_other_special_tokens(*map, where, config);
  }
  return config;
}

}  // namespace moexray
