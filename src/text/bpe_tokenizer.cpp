#include <algorithm>

#include "byte_alphabet.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/file_kind.h"
#include "moexray/core/sha256.h"
#include "tokenizer_json.h"
#include "tokenizers.h"
#include "unicode.h"

namespace moexray {
namespace {

class BpeTokenizer final : public Tokenizer {
 public:
  BpeTokenizer(BpeModel model, std::string sha256, const TokenizerConfig& config)
      : model_(std::move(model)), sha256_(std::move(sha256)) {
    bos_token_ = named_token(config.bos_token, config);
    eos_token_ = named_token(config.eos_token, config);
  }

  Encoding encode(std::string_view text) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special) const override;
  std::string piece(TokenId id) const override { return model_.pieces[index_of(id)]; }
  std::optional<TokenId> id_of(std::string_view piece) const override;
  int vocab_size() const override { return static_cast<int>(model_.pieces.size()); }
  std::string_view kind() const override {
    return model_.is_byte_level() ? "byte_level_bpe" : "bpe";
  }
  const std::string& sha256() const override { return sha256_; }
  std::string bos_token() const override { return bos_token_; }
  std::string eos_token() const override { return eos_token_; }
  std::span<const TokenId> begin_ids() const override { return model_.begin_ids; }
  std::span<const TokenId> end_ids() const override { return model_.end_ids; }

 private:
  std::string named_token(const std::optional<std::string>& token,
                          const TokenizerConfig& config) const;
  std::size_t index_of(TokenId id) const;
  void encode_word(const Word& word, std::size_t offset, Encoding& encoding) const;
  void encode_segment(std::string_view segment, std::size_t offset, MatchBudget& budget,
                      Encoding& encoding) const;
  bool take_whole(std::string_view word, std::vector<BpeMerges::Symbol>& symbols) const;
  void take_bytes(std::string_view word, std::vector<BpeMerges::Symbol>& symbols) const;
  void take_characters(std::string_view word, std::vector<BpeMerges::Symbol>& symbols) const;
  bool spell_in_bytes(std::string_view text, TextSpan span,
                      std::vector<BpeMerges::Symbol>& symbols) const;

  BpeModel model_;
  ByteAlphabet alphabet_;
  std::string sha256_;
  std::string bos_token_;
  std::string eos_token_;
};

// Where the files are silent, the GPT-2 and NeoX classes of transformers take "<|endoftext|>".
std::string BpeTokenizer::named_token(const std::optional<std::string>& token,
                                      const TokenizerConfig& config) const {
  if (token) return *token;
  constexpr std::string_view fallback = "<|endoftext|>";
  const std::string& name = config.tokenizer_class;
  const bool has_default =
      name.empty() || name.starts_with("GPTNeoXTokenizer") || name.starts_with("GPT2Tokenizer");
  return has_default && id_of(fallback) ? std::string(fallback) : std::string();
}

std::size_t BpeTokenizer::index_of(TokenId id) const {
  const auto index = static_cast<std::size_t>(id);
  if (id < 0 || index >= model_.pieces.size()) {
    throw Error(ErrorKind::data, {"token id outside the vocabulary",
                                  {},
                                  "0 to " + std::to_string(vocab_size() - 1),
                                  std::to_string(id)});
  }
  return index;
}

std::optional<TokenId> BpeTokenizer::id_of(std::string_view piece) const {
  if (const AddedToken* added = model_.added.find(piece)) return added->id;
  const auto found = model_.vocab.find(std::string(piece));
  return found == model_.vocab.end() ? std::nullopt : std::optional(found->second);
}

// "ignore_merges": a word that is a token of its own needs no merging.
bool BpeTokenizer::take_whole(std::string_view word,
                              std::vector<BpeMerges::Symbol>& symbols) const {
  std::string piece(word);
  if (model_.is_byte_level()) {
    piece.clear();
    for (const char byte : word) piece += alphabet_.of(static_cast<unsigned char>(byte));
  }
  const auto found = model_.vocab.find(piece);
  if (found == model_.vocab.end()) return false;
  symbols.assign(1, {found->second, 0, word.size()});
  return true;
}

void BpeTokenizer::take_bytes(std::string_view word,
                              std::vector<BpeMerges::Symbol>& symbols) const {
  for (std::size_t i = 0; i < word.size(); ++i) {
    symbols.push_back({model_.byte_ids[static_cast<unsigned char>(word[i])], i, i + 1});
  }
}

// One token for each byte of a character, unless one lacks its token. All stand for `span`, where
// the character is, and an unknown one before it whose token comes later.
bool BpeTokenizer::spell_in_bytes(std::string_view text, TextSpan span,
                                  std::vector<BpeMerges::Symbol>& symbols) const {
  if (!model_.byte_fallback) return false;
  const auto id_of = [&](char byte) { return model_.byte_ids[static_cast<unsigned char>(byte)]; };
  if (std::any_of(text.begin(), text.end(), [&](char byte) { return id_of(byte) < 0; })) {
    return false;
  }
  for (const char byte : text) symbols.push_back({id_of(byte), span.begin, span.end});
  return true;
}

// The unknown token comes when the next token of the vocabulary does, as in Hugging Face: behind
// bytes in between.
void BpeTokenizer::take_characters(std::string_view word,
                                   std::vector<BpeMerges::Symbol>& symbols) const {
  std::optional<BpeMerges::Symbol> unknown;
  const auto flush = [&] {
    if (unknown && !symbols.empty()) unknown->end = std::max(unknown->end, symbols.back().end);
    if (unknown) symbols.push_back(*unknown);
    unknown.reset();
  };
  for (std::size_t begin = 0, end = 0; begin < word.size(); begin = end) {
    unicode::next_code_point(word, end);
    const std::string_view character = word.substr(begin, end - begin);
    const auto found = model_.vocab.find(std::string(character));
    if (found != model_.vocab.end()) {
      flush();
      symbols.push_back({found->second, begin, end});
    } else if (!spell_in_bytes(character, {unknown ? unknown->begin : begin, end}, symbols)) {
      if (unknown && model_.fuse_unk) {
        unknown->end = end;
      } else {
        flush();
        unknown = BpeMerges::Symbol{*model_.unk_id, begin, end};
      }
    }
  }
  flush();
}

// `offset` is where the original of the word's text begins in the whole text.
void BpeTokenizer::encode_word(const Word& word, std::size_t offset, Encoding& encoding) const {
  const std::string_view text =
      std::string_view(word.text->text).substr(word.begin, word.end - word.begin);
  std::vector<BpeMerges::Symbol> symbols;
  if (!model_.ignore_merges || !take_whole(text, symbols)) {
    if (model_.is_byte_level()) {
      take_bytes(text, symbols);
    } else {
      take_characters(text, symbols);
    }
    model_.merges.apply(symbols);
  }
  for (const BpeMerges::Symbol& symbol : symbols) {
    const TextSpan span =
        word.text->original_of(word.begin + symbol.begin, word.begin + symbol.end);
    encoding.ids.push_back(symbol.id);
    encoding.spans.push_back({offset + span.begin, offset + span.end});
  }
}

void BpeTokenizer::encode_segment(std::string_view segment, std::size_t offset, MatchBudget& budget,
                                  Encoding& encoding) const {
  const AlignedText aligned = model_.normalizer.apply(segment, budget);
  Words words;
  for (const AddedTokens::Part& part : model_.added.split(aligned.text, true)) {
    if (part.token == nullptr) {
      model_.pre_tokenizer.cut(aligned, part.span, offset, budget, words);
      for (const Word& word : words.list) encode_word(word, offset, encoding);
      continue;
    }
    const TextSpan span = aligned.original_of(part.span.begin, part.span.end);
    encoding.ids.push_back(part.token->id);
    encoding.spans.push_back({offset + span.begin, offset + span.end});
  }
}

Encoding BpeTokenizer::encode(std::string_view text) const {
  check_text(text);
  Encoding encoding;
  MatchBudget budget(text.size());
  for (const AddedTokens::Part& part : model_.added.split(text, false)) {
    if (part.token == nullptr) {
      encode_segment(text.substr(part.span.begin, part.span.end - part.span.begin), part.span.begin,
                     budget, encoding);
    } else {
      encoding.ids.push_back(part.token->id);
      encoding.spans.push_back(part.span);
    }
  }
  return encoding;
}

std::string BpeTokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::string bytes;
  std::vector<std::string> pieces;
  for (const TokenId id : ids) {
    const std::size_t index = index_of(id);
    const AddedToken* added = skip_special ? model_.added.find(id) : nullptr;
    // A token whose normalised form is another one does not count as special, as in Hugging Face.
    if (added != nullptr && added->special && added->content == model_.pieces[index]) continue;
    if (model_.decoder.is_byte_level()) {
      bytes += model_.bytes[index];
    } else if (!model_.pieces[index].empty()) {
      pieces.push_back(model_.pieces[index]);
    }
  }
  if (model_.decoder.is_byte_level()) return unicode::replace_invalid_utf8(bytes);
  return model_.decoder.decode(std::move(pieces));
}

}  // namespace

std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view bytes, const std::string& where,
                                                const TokenizerConfig& config) {
  BpeModel model = parse_bpe_model(bytes, where, config);
  const std::string sha256 = sha256_hex(
      model.changes.empty() ? std::string(bytes) : std::string(bytes) + '\0' + model.changes);
  return std::make_unique<BpeTokenizer>(std::move(model), sha256, config);
}

std::unique_ptr<Tokenizer> open_tokenizer_json(const std::filesystem::path& path,
                                               const TokenizerConfig& config) {
  return parse_tokenizer_json(read_downloaded_file(path, max_tokenizer_bytes), path.string(),
                              config);
}

}  // namespace moexray
