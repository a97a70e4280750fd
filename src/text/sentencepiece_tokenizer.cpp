#include <algorithm>
#include <unordered_map>

#include "byte_pieces.h"
#include "child_process.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/file_kind.h"
#include "moexray/core/sha256.h"
#include "moexray/runtime/modules.h"
#include "sentencepiece_module.h"
#include "sentencepiece_proto.h"
#include "tokenizers.h"
#include "unicode.h"

namespace moexray {
namespace {

using PieceType = SentencePieceProto::PieceType;

constexpr int trial_seconds = 20;
constexpr std::size_t max_trial_bytes = 1'000'000;
constexpr std::string_view module_name = "moexray_sentencepiece.so";

// How white space in front of a text is treated.
enum class Prefix {
  model,   // as the SentencePiece model says
  never,   // transformers: add_prefix_space false
  first,   // transformers: one space before the text, unless it starts with one
  always,  // transformers, legacy: before every stretch between added tokens
};

void append_with_spaces(std::string& text, std::string_view piece) {
  for (std::size_t pos = 0; pos < piece.size();) {
    const std::size_t mark = std::min(piece.find(space_mark, pos), piece.size());
    text += piece.substr(pos, mark - pos);
    if (mark == piece.size()) break;
    text += ' ';
    pos = mark + space_mark.size();
  }
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(const SentencePieceProto& proto, std::unique_ptr<SentencePieceModel> model,
                         std::string sha256, Prefix prefix)
      : model_(std::move(model)), sha256_(std::move(sha256)), prefix_(prefix) {
    strips_first_space_ =
        prefix == Prefix::model ? proto.add_dummy_prefix : prefix != Prefix::never;
    for (const auto& piece : proto.pieces) pieces_.push_back(piece.text);
    for (std::size_t id = 0; id < pieces_.size(); ++id) {
      ids_.emplace(pieces_[id], static_cast<TokenId>(id));
    }
  }

  void add_token(const AddedToken& token);
  void add_around(std::vector<TokenId> begin, std::vector<TokenId> end) {
    begin_ids_ = std::move(begin);
    end_ids_ = std::move(end);
  }
  void name_tokens(std::string bos, std::string eos) {
    bos_token_ = std::move(bos);
    eos_token_ = std::move(eos);
  }

  Encoding encode(std::string_view text) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special) const override;
  std::string piece(TokenId id) const override { return pieces_[index_of(id)]; }
  std::optional<TokenId> id_of(std::string_view piece) const override {
    const auto found = ids_.find(std::string(piece));
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }
  int vocab_size() const override { return static_cast<int>(pieces_.size()); }
  std::string_view kind() const override { return "sentencepiece"; }
  const std::string& sha256() const override { return sha256_; }
  std::string bos_token() const override { return bos_token_; }
  std::string eos_token() const override { return eos_token_; }
  std::span<const TokenId> begin_ids() const override { return begin_ids_; }
  std::span<const TokenId> end_ids() const override { return end_ids_; }

 private:
  std::size_t index_of(TokenId id) const;
  void encode_plain(std::string_view text, std::size_t offset, Encoding& encoding) const;

  std::unique_ptr<SentencePieceModel> model_;
  std::string sha256_;
  Prefix prefix_;
  bool strips_first_space_ = false;
  std::vector<std::string> pieces_;  // by id, added tokens included
  std::unordered_map<std::string, TokenId> ids_;
  AddedTokens added_;
  std::string bos_token_;
  std::string eos_token_;
  std::vector<TokenId> begin_ids_;
  std::vector<TokenId> end_ids_;
};

// Ids beyond the vocabulary come without gaps.
void SentencePieceTokenizer::add_token(const AddedToken& token) {
  added_.add(token, token.content);
  if (ids_.emplace(token.content, token.id).second) pieces_.push_back(token.content);
}

std::size_t SentencePieceTokenizer::index_of(TokenId id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= pieces_.size()) {
    throw Error(ErrorKind::data, {"token id outside the vocabulary",
                                  {},
                                  "0 to " + std::to_string(vocab_size() - 1),
                                  std::to_string(id)});
  }
  return static_cast<std::size_t>(id);
}

void SentencePieceTokenizer::encode_plain(std::string_view text, std::size_t offset,
                                          Encoding& encoding) const {
  const bool wants_space = prefix_ == Prefix::always || (prefix_ == Prefix::first && offset == 0);
  std::string prefixed;
  if (wants_space && !text.starts_with(' ') && !text.starts_with(space_mark)) {
    prefixed = " " + std::string(text);
    text = prefixed;
  }
  const std::size_t n_prefix = prefixed.empty() ? 0 : 1;
  std::vector<SentencePieceModel::Token> tokens;
  const std::string failure = model_->encode(text, tokens);
  if (!failure.empty())
    throw Error(ErrorKind::data, "SentencePiece cannot encode a text: " + failure);
  for (const auto& token : tokens) {
    const std::size_t end = std::min(token.end, text.size());
    encoding.ids.push_back(token.id);
    encoding.spans.push_back({offset + std::max(std::min(token.begin, end), n_prefix) - n_prefix,
                              offset + std::max(end, n_prefix) - n_prefix});
  }
}

Encoding SentencePieceTokenizer::encode(std::string_view text) const {
  check_text(text);
  Encoding encoding;
  const auto push = [&](const AddedTokens::Part& part, std::size_t offset) {
    encoding.ids.push_back(part.token->id);
    encoding.spans.push_back({offset + part.span.begin, offset + part.span.end});
  };
  for (const AddedTokens::Part& outer : added_.split(text, false)) {
    if (outer.token != nullptr) {
      push(outer, 0);
      continue;
    }
    const std::string_view segment =
        text.substr(outer.span.begin, outer.span.end - outer.span.begin);
    for (const AddedTokens::Part& inner : added_.split(segment, true)) {
      if (inner.token != nullptr) {
        push(inner, outer.span.begin);
      } else {
        encode_plain(segment.substr(inner.span.begin, inner.span.end - inner.span.begin),
                     outer.span.begin + inner.span.begin, encoding);
      }
    }
  }
  return encoding;
}

std::string SentencePieceTokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::string text;
  std::string bytes;
  for (const TokenId id : ids) {
    const std::string& piece = pieces_[index_of(id)];
    const AddedToken* added = skip_special ? added_.find(id) : nullptr;
    if (added != nullptr && added->special) continue;
    if (const auto byte = byte_of_piece(piece)) {
      bytes += static_cast<char>(*byte);
      continue;
    }
    append_fallback_bytes(text, bytes);
    append_with_spaces(text, piece);
  }
  append_fallback_bytes(text, bytes);
  if (strips_first_space_ && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

// --- Opening
// --------------------------------------------------------------------------------------

std::string trial_text(const SentencePieceProto& proto) {
  std::string text;
  for (const auto& piece : proto.pieces) {
    if (text.size() + piece.text.size() > max_trial_bytes) break;
    append_with_spaces(text, piece.text);
  }
  // Characters of one to four bytes, in and out of the Basic Multilingual Plane, with white space.
  for (char32_t c = 0; c < 0x3000; c += c < 0x100 ? 1 : 37) unicode::append_utf8(text, c);
  for (char32_t c = 0x4E00; c < 0x20000; c += c == 0xD7F7 ? 0x809 : 1111) {
    if (c < 0xD800 || c > 0xDFFF) unicode::append_utf8(text, c);
  }
  return text;
}

std::unique_ptr<SentencePieceModel> open_model(const std::string& bytes,
                                               const std::filesystem::path& module_directory,
                                               std::string& message) {
  const auto factory = reinterpret_cast<SentencePieceFactory>(
      open_module(module_directory, module_name, sentencepiece_factory));
  return std::unique_ptr<SentencePieceModel>(factory(bytes.data(), bytes.size(), &message));
}

// Loads the model and encodes with it; the message is empty if that works.
std::string try_model(const std::string& bytes, const std::string& text, std::size_t n_pieces,
                      const std::filesystem::path& module_directory) {
  try {
    std::string message;
    const auto model = open_model(bytes, module_directory, message);
    if (model == nullptr) return message.empty() ? "it cannot be loaded" : message;
    if (static_cast<std::size_t>(model->n_pieces()) != n_pieces)
      return "it lost pieces while loading";
    std::vector<SentencePieceModel::Token> tokens;
    message = model->encode(text, tokens);
    for (const auto& token : tokens) {
      if (token.id < 0 || static_cast<std::size_t>(token.id) >= n_pieces)
        return "it gives unknown ids";
    }
    return message;
  } catch (const std::exception& error) {
    return error.what();
  }
}

// Only the classes whose behaviour is implemented; without a class SentencePiece's own applies.
Prefix choose_prefix(const SentencePieceProto& proto, const TokenizerConfig& config,
                     const std::string& where) {
  if (config.tokenizer_class.empty()) return Prefix::model;
  if (config.tokenizer_class != "LlamaTokenizer" &&
      config.tokenizer_class != "LlamaTokenizerFast") {
    throw Error(
        ErrorKind::data,
        {"unsupported tokenizer", config.where + ": key \"tokenizer_class\"",
         "\"LlamaTokenizer\" beside a tokenizer.model", "\"" + config.tokenizer_class + "\""});
  }
  if (!proto.is_bpe || !proto.byte_fallback) {
    throw Error(ErrorKind::data, {"unsupported SentencePiece model", where,
                                  "BPE with byte fallback, as LlamaTokenizer takes it",
                                  proto.is_bpe ? "no byte fallback" : "not BPE"});
  }
  if (!config.add_prefix_space.value_or(true)) return Prefix::never;
  return config.legacy.value_or(false) ? Prefix::always : Prefix::first;
}

// The order decides which flags a token has that is named more than once.
void add_tokens(SentencePieceTokenizer& tokenizer, const SentencePieceProto& proto,
                const TokenizerConfig& config) {
  AddedTokenList list([&](std::string_view content) { return tokenizer.id_of(content); },
                      proto.pieces.size());
  put_configured_tokens(config, list);
  for (const auto& [text, type] : proto.pieces) {
    const bool is_control = type == PieceType::control || type == PieceType::unknown;
    if ((!is_control && type != PieceType::user_defined) || list.contains(text)) continue;
    AddedToken token;
    token.id = list.id_of(text);
    token.content = text;
    token.special = is_control;
    list.put(std::move(token));
  }
  for (const AddedToken& token : list.tokens()) tokenizer.add_token(token);
}

// What add_bos_token and add_eos_token ask for.
std::vector<TokenId> ids_around(const Tokenizer& tokenizer, bool wanted, const std::string& token,
                                const char* key, const TokenizerConfig& config) {
  if (!wanted) return {};
  const auto id = token.empty() ? std::nullopt : tokenizer.id_of(token);
  if (!id) {
    throw Error(ErrorKind::data, {"there is no such token", config.where + ": key \"" + key + "\"",
                                  "a token of the vocabulary", "\"" + token + "\""});
  }
  return {*id};
}

std::string piece_or_nothing(const SentencePieceProto& proto, std::int64_t id) {
  if (id < 0 || static_cast<std::size_t>(id) >= proto.pieces.size()) return "";
  const auto& piece = proto.pieces[static_cast<std::size_t>(id)];
  return piece.type == PieceType::control ? piece.text : "";
}

}  // namespace

std::unique_ptr<Tokenizer> open_sentencepiece(const std::filesystem::path& path,
                                              const std::filesystem::path& module_directory,
                                              const TokenizerConfig& config) {
  const std::string where = path.string();
  const std::string file = read_downloaded_file(path, max_tokenizer_bytes);
  const SentencePieceProto proto = parse_sentencepiece_proto(file, where);
  const Prefix prefix = choose_prefix(proto, config, where);
  const std::string bytes = prefix == Prefix::model ? proto.bytes : with_identity_normalizer(proto);

  // Opened here first: a module that is missing is no fault of the model.
  open_module(module_directory, module_name, sentencepiece_factory);
  const std::string text = trial_text(proto);
  std::string message = run_in_child(
      [&] { return try_model(bytes, text, proto.pieces.size(), module_directory); }, trial_seconds);
  std::unique_ptr<SentencePieceModel> model;
  if (message.empty()) model = open_model(bytes, module_directory, message);
  if (model == nullptr) {
    throw Error(ErrorKind::data, {"SentencePiece cannot load this model", where, {}, message});
  }

  auto tokenizer =
      std::make_unique<SentencePieceTokenizer>(proto, std::move(model), sha256_hex(file), prefix);
  add_tokens(*tokenizer, proto, config);
  tokenizer->name_tokens(config.bos_token.value_or(piece_or_nothing(proto, proto.bos_id)),
                         config.eos_token.value_or(piece_or_nothing(proto, proto.eos_id)));
  tokenizer->add_around(
      ids_around(*tokenizer, config.add_bos_token, tokenizer->bos_token(), "add_bos_token", config),
      ids_around(*tokenizer, config.add_eos_token, tokenizer->eos_token(), "add_eos_token",
                 config));
  return tokenizer;
}

}  // namespace moexray
