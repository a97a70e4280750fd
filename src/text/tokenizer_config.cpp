#include "tokenizer_config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>

#include "json_file.h"
#include "moexray/core/error.h"

namespace moexray {
namespace {

using json_file::Json;

constexpr std::uint64_t max_config_bytes = 32'000'000;
constexpr TokenId max_token_id = 1 << 28;

constexpr std::array special_keys = {"bos_token", "eos_token", "unk_token", "sep_token",
                                     "pad_token", "cls_token", "mask_token"};
constexpr const char* neox_class = "GPTNeoXTokenizer";
// The model types that transformers gives a class which takes the file as it is.
constexpr std::array<std::string_view, 4> general_types = {"flex_olmo", "granitemoe",
                                                           "granitemoeshared", "mixtral"};
constexpr const char* additional_key = "additional_special_tokens";
constexpr const char* extra_key = "extra_special_tokens";

// A token is given as a string or as an object with its content and flags. Empty: given as null.
AddedToken read_named(const Json& value, const char* key, const std::string& where) {
  AddedToken token;
  token.id = -1;
  token.special = true;
  if (value.is_null()) return token;
  const Json& content = value.is_object() ? json_file::member(value, "content") : value;
  if (!content.is_string()) json_file::fail(where, key, "wrong type", "a string", content);
  token.content = content.get<std::string>();
  if (value.is_object()) {
    token.normalized = json_file::bool_or(value, "normalized", false, where);
    token.single_word = json_file::bool_or(value, "single_word", false, where);
    token.lstrip = json_file::bool_or(value, "lstrip", false, where);
    token.rstrip = json_file::bool_or(value, "rstrip", false, where);
  }
  return token;
}

std::optional<std::string> text_of(const Json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) return std::nullopt;
  return read_named(*found, key, where).content;
}

// Tokens by key, in the order in which their keys came first.
class TokensByKey {
 public:
  void put(const std::string& key, AddedToken token) {
    const auto [place, is_new] = places_.emplace(key, tokens_.size());
    if (is_new) tokens_.emplace_back();
    tokens_[place->second] = std::move(token);
  }
  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  std::unordered_map<std::string, std::size_t> places_;
  std::vector<AddedToken> tokens_;
};

// What the files say, with the order of the keys, which gives the tokens their ids.
struct ConfigFiles {
  Json json;                          // of all files together
  std::vector<std::string> keys;      // of tokenizer_config.json
  std::vector<std::string> map_keys;  // of special_tokens_map.json, where that counts
  std::filesystem::path path;         // of tokenizer_config.json
};

// A key of a model's own, like "image_token".
bool names_a_token(const std::string& key) {
  return key.ends_with("_token") &&
         std::find(special_keys.begin(), special_keys.end(), key) == special_keys.end();
}

// The key of the additional tokens that counts: the newer one, unless it holds nothing.
const char* counting_key(const Json& json) {
  return json_file::member(json, extra_key).empty() ? additional_key : extra_key;
}

// Tokens under keys of the model's own, in the order in which transformers gives them their ids:
// those written as objects, those of the older file, those written as strings, and those of an
// object of additional ones. A later token replaces one with the same key where that stands.
std::vector<AddedToken> read_own_tokens(const ConfigFiles& files, const std::string& where) {
  TokensByKey tokens;
  const auto put = [&](const std::string& key, const Json& value) {
    tokens.put(key, read_named(value, key.c_str(), where));
  };
  for (const std::string& key : files.keys) {
    const Json& value = json_file::member(files.json, key.c_str());
    if (names_a_token(key) && value.is_object() && value.contains("__type")) put(key, value);
  }
  for (const std::string& key : files.map_keys) {
    if (names_a_token(key)) put(key, json_file::member(files.json, key.c_str()));
  }
  for (const std::string& key : files.keys) {
    const Json& value = json_file::member(files.json, key.c_str());
    if (names_a_token(key) && value.is_string()) put(key, value);
  }
  const char* key = counting_key(files.json);
  const Json& more = json_file::member(files.json, key);
  if (!more.is_object()) return tokens.tokens();
  for (const std::string& name : json_file::read_keys_if_there(files.path, max_config_bytes, key)) {
    if (more.contains(name)) put(name, more[name]);
  }
  for (const auto& [name, value] : more.items()) put(name, value);  // those of the older file
  return tokens.tokens();
}

std::vector<AddedToken> read_named_tokens(const ConfigFiles& files, const std::string& where) {
  std::vector<AddedToken> tokens;
  const auto add = [&](AddedToken token) {
    if (!token.content.empty()) tokens.push_back(std::move(token));
  };
  for (const char* key : special_keys) {
    add(read_named(json_file::member(files.json, key), key, where));
  }
  for (const AddedToken& token : read_own_tokens(files, where)) add(token);
  const char* key = counting_key(files.json);
  const Json& more = json_file::member(files.json, key);
  if (!more.is_null() && !more.is_structured()) {
    json_file::fail(where, key, "wrong type", "an array or an object", more);
  }
  if (!more.is_array()) return tokens;
  for (const Json& value : more) add(read_named(value, key, where));
  return tokens;
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

// Where there is no added_tokens_decoder, the older files count: they are put into `config`.
void take_special_tokens_map(const std::filesystem::path& path, ConfigFiles& files) {
  const auto map = json_file::read_object_if_there(path, max_config_bytes);
  if (!map) return;
  const auto take = [&](const char* key) {
    if (map->contains(key)) files.json[key] = (*map)[key];
  };
  for (const char* key : special_keys) take(key);
  take(additional_key);
  for (std::string& key : json_file::read_keys_if_there(path, max_config_bytes)) {
    // A string of tokenizer_config.json under the same key counts.
    if (!names_a_token(key) || json_file::member(files.json, key.c_str()).is_string()) continue;
    take(key.c_str());
    files.map_keys.push_back(std::move(key));
  }
}

// added_tokens.json: {"<tool>": 50280, …}
std::vector<AddedToken> read_older_added_tokens(const std::filesystem::path& path,
                                                const std::vector<AddedToken>& named) {
  std::vector<AddedToken> tokens;
  const auto json = json_file::read_object_if_there(path, max_config_bytes);
  if (!json) return tokens;
  for (const auto& [content, id] : json->items()) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= max_token_id) {
      json_file::fail(path.string(), content, "bad token id", "a number", id);
    }
    AddedToken token;
    token.id = id.get<TokenId>();
    token.content = content;
    token.special = std::any_of(named.begin(), named.end(), [&](const AddedToken& other) {
      return other.content == token.content;
    });
    token.normalized = !token.special;
    tokens.push_back(std::move(token));
  }
  std::sort(tokens.begin(), tokens.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  return tokens;
}

std::string model_type(const std::filesystem::path& path) {
  const auto config = json_file::read_object_if_there(path, max_config_bytes);
  return config ? json_file::string_or(*config, "model_type", "", path.string()) : "";
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::filesystem::path& model_directory) {
  TokenizerConfig config;
  const auto path = model_directory / "tokenizer_config.json";
  config.where = path.string();
  const auto file = json_file::read_object_if_there(path, max_config_bytes);
  config.is_there = file.has_value();
  ConfigFiles files{file.value_or(Json::object()),
                    json_file::read_keys_if_there(path, max_config_bytes),
                    {},
                    path};
  const Json& json = files.json;
  const bool has_decoder = !json_file::member(json, "added_tokens_decoder").is_null();
  if (!has_decoder) take_special_tokens_map(model_directory / "special_tokens_map.json", files);

  config.tokenizer_class = json_file::string_or(json, "tokenizer_class", "", config.where);
  if (std::filesystem::exists(model_directory / "tokenizer.json")) {
    const std::string type = model_type(model_directory / "config.json");
    // Where no class is given, transformers takes the one that belongs to the model.
    if (config.tokenizer_class.empty() && type == "olmoe") config.tokenizer_class = neox_class;
    config.takes_file_as_it_is =
        std::find(general_types.begin(), general_types.end(), type) != general_types.end();
  }
  config.bos_token = text_of(json, "bos_token", config.where);
  config.eos_token = text_of(json, "eos_token", config.where);
  config.unk_token = text_of(json, "unk_token", config.where);
  config.named_tokens = read_named_tokens(files, config.where);
  config.legacy = optional_bool(json, "legacy", config.where);
  config.add_prefix_space = optional_bool(json, "add_prefix_space", config.where);
  config.add_bos_token = optional_bool(json, "add_bos_token", config.where).value_or(false);
  config.add_eos_token = optional_bool(json, "add_eos_token", config.where).value_or(false);
  config.has_decoder = has_decoder;
  if (has_decoder) {
    config.added_tokens = read_added_tokens(json, config.where);
    config.added_tokens_where = config.where;
  } else {
    const auto older = model_directory / "added_tokens.json";
    config.added_tokens = read_older_added_tokens(older, config.named_tokens);
    config.added_tokens_where = older.string();
  }
  return config;
}

void put_configured_tokens(const TokenizerConfig& config, AddedTokenList& list) {
  for (const AddedToken& token : config.added_tokens) {
    const TokenId id = list.id_of(token.content);
    if (token.id != id) {
      throw Error(ErrorKind::data, {"added token with an id that is not its own",
                                    config.added_tokens_where + ": \"" + token.content + "\"",
                                    std::to_string(id), std::to_string(token.id)});
    }
    // Only the decoder knows the flags of a token that the tokenizer has already.
    if (config.has_decoder || !list.contains(token.content)) list.put(token);
  }
  for (AddedToken token : config.named_tokens) {
    if (list.contains(token.content)) continue;
    token.id = list.id_of(token.content);
    list.put(std::move(token));
  }
}

}  // namespace moexray
