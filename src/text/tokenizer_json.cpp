#include "tokenizer_json.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "byte_alphabet.h"
#include "byte_pieces.h"
#include "json_file.h"
#include "json_steps.h"
#include "moexray/core/error.h"
#include "tokenizer_class.h"

namespace moexray {
namespace {

using json_file::fail;
using json_file::Json;
using json_file::member;

// Ids may leave gaps, but not so large that the table of ids would be out of proportion to the
// file.
constexpr std::size_t max_id_slack = 65'536;
// Ids of a template are only checked against the model when they are used.
constexpr std::size_t max_template_id = std::size_t{1} << 28;

// The array at the last part of the dotted path `key`, of which the rest leads to `object`.
const Json& require_array(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = member(object, key.substr(key.rfind('.') + 1).c_str());
  if (!value.is_array()) fail(where, key, "wrong type", "an array", value);
  return value;
}

TokenId parse_id(const Json& value, std::size_t limit, const std::string& where, const char* key) {
  if (!value.is_number_integer() || value.get<std::int64_t>() < 0 ||
      static_cast<std::uint64_t>(value.get<std::int64_t>()) >= limit) {
    fail(where, key, "token id out of range", "0 to " + std::to_string(limit - 1), value);
  }
  return value.get<TokenId>();
}

// --- Post-processor
// -------------------------------------------------------------------------------

// The ids of a special token of a template: {"special_tokens": {"<s>": {"ids": [1]}}}.
void append_template_ids(const Json& processor, const std::string& name, const std::string& where,
                         std::vector<TokenId>& ids) {
  constexpr const char* key = "post_processor.special_tokens";
  const Json& tokens = member(processor, "special_tokens");
  if (!tokens.is_object()) fail(where, key, "wrong type", "an object", tokens);
  const Json& token = member(tokens, name.c_str());
  if (!token.is_object()) fail(where, key, "no such token", "an object for each token", name);
  const Json& list = member(token, "ids");
  if (!list.is_array()) fail(where, key, "wrong type", "ids in an array", list);
  for (const Json& id : list) ids.push_back(parse_id(id, max_template_id, where, key));
}

// {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]}
void parse_template(const Json& processor, const std::string& where, BpeModel& model) {
  constexpr const char* key = "post_processor.single";
  std::vector<TokenId> before;
  std::vector<TokenId> after;
  bool seen = false;
  for (const Json& part : require_array(processor, key, where)) {
    if (!part.is_object()) fail(where, key, "wrong type", "objects", part);
    if (part.contains("Sequence")) {
      if (std::exchange(seen, true)) fail(where, key, "unsupported template", "one sequence", part);
      continue;
    }
    const Json& special = member(part, "SpecialToken");
    if (!special.is_object()) fail(where, key, "wrong type", "tokens and a sequence", part);
    append_template_ids(processor, json_file::string_or(special, "id", "", where), where,
                        seen ? after : before);
  }
  model.begin_ids.insert(model.begin_ids.begin(), before.begin(), before.end());
  model.end_ids.insert(model.end_ids.end(), after.begin(), after.end());
}

void parse_post_processor(const Json& processor, const std::string& where, BpeModel& model) {
  const auto take = [&](const Json& step, const json_steps::Place& place) {
    const std::string type = json_steps::type_of(step, place);
    if (type == "TemplateProcessing") {
      parse_template(step, where, model);
    } else if (type != "ByteLevel") {
      json_steps::refuse(place, "type", "unsupported post-processor",
                         "\"ByteLevel\" or \"TemplateProcessing\"", type);
    }
  };
  json_steps::for_each_step(processor, {where, "post_processor"}, "processors", take);
}

// Call it when all tokens are known.
void check_template_ids(const std::string& where, const BpeModel& model) {
  for (const std::vector<TokenId>* ids : {&model.begin_ids, &model.end_ids}) {
    for (const TokenId id : *ids) {
      const auto index = static_cast<std::size_t>(id);
      if (index < model.pieces.size() && !model.pieces[index].empty()) continue;
      fail(where, "post_processor.special_tokens", "no token of that id", "ids of tokens", id);
    }
  }
}

// --- Model
// ----------------------------------------------------------------------------------------

void read_model_options(const Json& json, const std::string& where, BpeModel& model) {
  const json_steps::Place place{where, "model"};
  const Json& type = member(json, "type");
  if (!(type.is_null() && json.contains("merges")) && type != "BPE") {
    json_steps::refuse(place, "type", "unsupported model", "\"BPE\"", type);
  }
  const Json& dropout = member(json, "dropout");
  if (!dropout.is_null() && dropout != 0.0) {
    json_steps::refuse(place, "dropout", "unsupported option", "null", dropout);
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!json_file::string_or(json, key, "", where).empty()) {
      json_steps::refuse(place, key, "unsupported option", "null", json[key]);
    }
  }
  model.ignore_merges = json_file::bool_or(json, "ignore_merges", false, where);
  model.byte_fallback = json_file::bool_or(json, "byte_fallback", false, where);
  model.fuse_unk = json_file::bool_or(json, "fuse_unk", false, where);
}

void set_piece(BpeModel& model, TokenId id, const std::string& piece) {
  const auto index = static_cast<std::size_t>(id);
  if (index >= model.pieces.size()) model.pieces.resize(index + 1);
  model.pieces[index] = piece;
}

void parse_vocab(const Json& model_json, std::size_t n_added, const std::string& where,
                 BpeModel& model) {
  const Json& vocab = member(model_json, "vocab");
  if (!vocab.is_object()) fail(where, "model.vocab", "wrong type", "an object", vocab);
  const std::size_t limit = vocab.size() + n_added + max_id_slack;
  model.vocab.reserve(vocab.size());
  for (const auto& [piece, value] : vocab.items()) {
    const TokenId id = parse_id(value, limit, where, "model.vocab");
    if (piece.empty()) fail(where, "model.vocab", "empty token", "a text", value);
    const auto index = static_cast<std::size_t>(id);
    if (index < model.pieces.size() && !model.pieces[index].empty()) {
      fail(where, "model.vocab", "two tokens with the same id", "unique ids", value);
    }
    set_piece(model, id, piece);
    model.vocab.emplace(piece, id);
  }
}

TokenId token_of_merge(const BpeModel& model, const std::string& piece, const std::string& where) {
  const auto found = model.vocab.find(piece);
  if (found == model.vocab.end()) {
    fail(where, "model.merges", "merge of a token outside the vocabulary", "tokens of model.vocab",
         piece);
  }
  return found->second;
}

void parse_merges(const Json& model_json, const std::string& where, BpeModel& model) {
  const auto add = [&](const std::string& left, const std::string& right) {
    model.merges.add(token_of_merge(model, left, where), token_of_merge(model, right, where),
                     token_of_merge(model, left + right, where));
  };
  for (const Json& merge : require_array(model_json, "model.merges", where)) {
    if (merge.is_string()) {
      const auto& text = merge.get_ref<const std::string&>();
      if (text.starts_with("#version")) continue;
      const std::size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
        fail(where, "model.merges", "malformed merge", "two tokens and a space between them",
             merge);
      }
      add(text.substr(0, space), text.substr(space + 1));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      add(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>());
    } else {
      fail(where, "model.merges", "malformed merge", "two tokens", merge);
    }
  }
}

// The bytes that never occur in UTF-8 may be missing, as in the vocabulary of GPT-NeoX.
bool occurs_in_utf8(std::size_t byte) { return byte != 0xC0 && byte != 0xC1 && byte < 0xF5; }

// Every character must have a token, or none would notice that it is lost.
void find_byte_ids(const Json& model_json, const std::string& where, BpeModel& model) {
  const ByteAlphabet alphabet;
  const std::string unknown = json_file::string_or(model_json, "unk_token", "", where);
  if (const auto found = model.vocab.find(unknown); found != model.vocab.end()) {
    model.unk_id = found->second;
  } else if (!unknown.empty() && !model.is_byte_level()) {
    fail(where, "model.unk_token", "no such token", "a token of model.vocab", unknown);
  }
  if (!model.is_byte_level() && !model.byte_fallback && !model.unk_id) {
    json_steps::refuse({where, "model"}, "byte_fallback",
                       "characters outside the vocabulary would be lost",
                       "true, an \"unk_token\", or \"ByteLevel\" in pre_tokenizer", false);
  }
  for (std::size_t i = 0; i < model.byte_ids.size(); ++i) {
    const auto byte = static_cast<unsigned char>(i);
    const auto found =
        model.vocab.find(model.is_byte_level() ? alphabet.of(byte) : piece_of_byte(byte));
    model.byte_ids[i] = found == model.vocab.end() ? -1 : found->second;
    if (model.byte_ids[i] < 0 && occurs_in_utf8(i) &&
        (model.is_byte_level() || (model.byte_fallback && !model.unk_id))) {
      fail(where, "model.vocab", "no token for a byte", "every byte that UTF-8 uses", i);
    }
  }
}

// --- Added tokens
// ---------------------------------------------------------------------------------

AddedToken parse_added_token(const Json& json, std::size_t limit, const std::string& where) {
  if (!json.is_object()) fail(where, "added_tokens", "wrong type", "objects", json);
  AddedToken token;
  token.id = parse_id(member(json, "id"), limit, where, "added_tokens.id");
  token.content = json_file::string_or(json, "content", "", where);
  token.special = json_file::bool_or(json, "special", false, where);
  token.normalized = json_file::bool_or(json, "normalized", !token.special, where);
  token.single_word = json_file::bool_or(json, "single_word", false, where);
  token.lstrip = json_file::bool_or(json, "lstrip", false, where);
  token.rstrip = json_file::bool_or(json, "rstrip", false, where);
  return token;
}

void list_added_tokens(const Json& root, const std::string& where, const BpeModel& model,
                       AddedTokenList& list) {
  const Json& added = member(root, "added_tokens");
  const std::size_t limit = model.vocab.size() + added.size() + max_id_slack;
  std::unordered_set<TokenId> ids;
  for (const Json& json : added) {
    AddedToken token = parse_added_token(json, limit, where);
    // A token outside the vocabulary gets the next free id, whatever the file says: this is how
    // Hugging Face reads it, so a file that says otherwise is not what its author thinks.
    const TokenId expected = list.id_of(token.content);
    if (token.id != expected) {
      fail(where, "added_tokens.id", "added token with an id that is not its own",
           std::to_string(expected), member(json, "id"));
    }
    if (list.contains(token.content)) continue;
    if (!ids.insert(token.id).second) {
      fail(where, "added_tokens.id", "two tokens with the same id", "unique ids", json);
    }
    list.put(std::move(token));
  }
}

std::string flags_text(const AddedToken& token) {
  std::string text = std::to_string(token.id) + ' ' + token.content + ' ';
  for (const bool flag :
       {token.single_word, token.lstrip, token.rstrip, token.normalized, token.special}) {
    text += flag ? '1' : '0';
  }
  return text + '\n';
}

void add_tokens(const AddedTokenList& list, const std::string& where, BpeModel& model) {
  for (const AddedToken& token : list.tokens()) {
    // Hugging Face shows a normalised token in its normalised form, and decodes that.
    MatchBudget budget(token.content.size());
    const std::string pattern =
        token.normalized ? model.normalizer.apply(token.content, budget).text : token.content;
    try {
      model.added.add(token, pattern);
    } catch (const Error& error) {
      ErrorParts parts = error.parts();
      parts.where = where + ": key \"added_tokens\"";
      throw Error(error.kind(), std::move(parts));
    }
    set_piece(model, token.id, pattern);
  }
}

// The tokens of the file itself, then those that only the files beside it name.
void gather_added_tokens(const Json& root, const std::string& where, const TokenizerConfig& config,
                         BpeModel& model) {
  const auto in_vocabulary = [&](std::string_view content) {
    const auto found = model.vocab.find(std::string(content));
    return found == model.vocab.end() ? std::nullopt : std::optional(found->second);
  };
  AddedTokenList list(in_vocabulary, model.vocab.size());
  list_added_tokens(root, where, model, list);
  std::string before;
  for (const AddedToken& token : list.tokens()) before += flags_text(token);
  put_configured_tokens(config, list);
  std::string after;
  for (const AddedToken& token : list.tokens()) after += flags_text(token);
  if (after != before) model.changes += after;
  add_tokens(list, where, model);
}

}  // namespace

BpeModel parse_bpe_model(std::string_view json_text, const std::string& where,
                         const TokenizerConfig& config) {
  const Json root = parse_json(json_text, where, json_file::rules);
  if (!root.is_object()) fail(where, "", "not a JSON object", "an object", root);
  const Json& added = member(root, "added_tokens");
  if (!added.is_null() && !added.is_array())
    fail(where, "added_tokens", "wrong type", "an array", added);
  const Json& model_json = member(root, "model");
  if (!model_json.is_object()) fail(where, "model", "wrong type", "an object", model_json);
  BpeModel model;
  model.decoder = parse_token_decoder(member(root, "decoder"), where);
  if (member(root, "decoder").is_null()) {
    json_steps::refuse({where, "decoder"}, "", "no decoder", "\"ByteLevel\", say", nullptr);
  }
  model.normalizer = parse_normalizer(member(root, "normalizer"), where);
  model.pre_tokenizer = parse_pre_tokenizer(member(root, "pre_tokenizer"), where);
  parse_post_processor(member(root, "post_processor"), where, model);
  apply_tokenizer_class(config, model);
  read_model_options(model_json, where, model);
  parse_vocab(model_json, added.size(), where, model);
  parse_merges(model_json, where, model);
  find_byte_ids(model_json, where, model);
  gather_added_tokens(root, where, config, model);
  if (model.decoder.is_byte_level()) {
    const ByteAlphabet alphabet;
    model.bytes.reserve(model.pieces.size());
    for (const std::string& piece : model.pieces) model.bytes.push_back(alphabet.bytes_of(piece));
  }
  check_template_ids(where, model);
  return model;
}

}  // namespace moexray
