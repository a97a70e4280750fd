#include <algorithm>

#include "gpt2_words.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/file_kind.h"
#include "moexray/core/sha256.h"
#include "tokenizer_json.h"
#include "tokenizers.h"
#include "unicode.h"

namespace moexray {
namespace {

class ByteLevelTokenizer final : public Tokenizer {
 public:
  ByteLevelTokenizer(ByteLevelModel model, std::string sha256, const TokenizerConfig& config)
      : model_(std::move(model)), sha256_(std::move(sha256)) {
    bos_token_ = named_token(config.bos_token, config);
    eos_token_ = named_token(config.eos_token, config);
  }

  Encoding encode(std::string_view text) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special) const override;
  std::string piece(TokenId id) const override { return model_.pieces[index_of(id)]; }
  std::optional<TokenId> id_of(std::string_view piece) const override;
  int vocab_size() const override { return static_cast<int>(model_.pieces.size()); }
  std::string_view kind() const override { return "byte_level_bpe"; }
  const std::string& sha256() const override { return sha256_; }
  std::string bos_token() const override { return bos_token_; }
  std::string eos_token() const override { return eos_token_; }
  std::span<const TokenId> begin_ids() const override { return model_.begin_ids; }
  std::span<const TokenId> end_ids() const override { return model_.end_ids; }

 private:
  std::string named_token(const std::optional<std::string>& token,
                          const TokenizerConfig& config) const;
  std::size_t index_of(TokenId id) const;
  void encode_plain(const AlignedText& aligned, TextSpan range, std::size_t offset,
                    Encoding& encoding) const;
  void encode_segment(std::string_view segment, std::size_t offset, Encoding& encoding) const;
  bool take_whole(std::string_view word, std::vector<BpeMerges::Symbol>& symbols) const;

  ByteLevelModel model_;
  ByteAlphabet alphabet_;
  std::string sha256_;
  std::string bos_token_;
  std::string eos_token_;
};

// Where the files are silent, the GPT-2 and NeoX classes of transformers take "<|endoftext|>".
std::string ByteLevelTokenizer::named_token(const std::optional<std::string>& token,
                                            const TokenizerConfig& config) const {
  if (token) return *token;
  constexpr std::string_view fallback = "<|endoftext|>";
  const std::string& name = config.tokenizer_class;
  const bool has_default =
      name.empty() || name.starts_with("GPTNeoXTokenizer") || name.starts_with("GPT2Tokenizer");
  return has_default && id_of(fallback) ? std::string(fallback) : std::string();
}

std::size_t ByteLevelTokenizer::index_of(TokenId id) const {
  const auto index = static_cast<std::size_t>(id);
  if (id < 0 || index >= model_.pieces.size() || model_.pieces[index].empty()) {
    throw Error(ErrorKind::data, {"token id outside the vocabulary",
                                  {},
                                  "0 to " + std::to_string(vocab_size() - 1),
                                  std::to_string(id)});
  }
  return index;
}

std::optional<TokenId> ByteLevelTokenizer::id_of(std::string_view piece) const {
  if (const AddedToken* added = model_.added.find(piece)) return added->id;
  const auto found = model_.vocab.find(std::string(piece));
  return found == model_.vocab.end() ? std::nullopt : std::optional(found->second);
}

// "ignore_merges": a word that is a token of its own needs no merging.
bool ByteLevelTokenizer::take_whole(std::string_view word,
                                    std::vector<BpeMerges::Symbol>& symbols) const {
  std::string piece;
  for (const char byte : word) piece += alphabet_.of(static_cast<unsigned char>(byte));
  const auto found = model_.vocab.find(piece);
  if (found == model_.vocab.end()) return false;
  symbols.assign(1, {found->second, 0, word.size()});
  return true;
}

// Encodes the bytes `range` of `aligned`, in which no added token is left. `offset` is where the
// original of `aligned` begins in the text.
void ByteLevelTokenizer::encode_plain(const AlignedText& aligned, TextSpan range,
                                      std::size_t offset, Encoding& encoding) const {
  std::string_view text(aligned.text);
  text = text.substr(range.begin, range.end - range.begin);
  std::string prefixed;
  if (model_.add_prefix_space && !text.starts_with(' ')) {
    prefixed = " " + std::string(text);
    text = prefixed;
  }
  const std::size_t n_prefix = prefixed.empty() ? 0 : 1;
  const auto position = [&](std::size_t pos) {
    return range.begin + std::max(pos, n_prefix) - n_prefix;
  };

  std::vector<BpeMerges::Symbol> symbols;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = end_of_gpt2_word(text, begin);
    const std::string_view word = text.substr(begin, end - begin);
    symbols.clear();
    if (!model_.ignore_merges || !take_whole(word, symbols)) {
      for (std::size_t i = 0; i < word.size(); ++i) {
        symbols.push_back({model_.byte_ids[static_cast<unsigned char>(word[i])], i, i + 1});
      }
      model_.merges.apply(symbols);
    }
    for (const BpeMerges::Symbol& symbol : symbols) {
      const TextSpan here{position(begin + symbol.begin), position(begin + symbol.end)};
      TextSpan span{aligned.original_of(here.begin, here.begin + 1).begin, 0};
      // A token of the added space alone stands for no character.
      span.end = here.end > here.begin ? aligned.original_of(here.begin, here.end).end : span.begin;
      encoding.ids.push_back(symbol.id);
      encoding.spans.push_back({offset + span.begin, offset + span.end});
    }
    begin = end;
  }
}

void ByteLevelTokenizer::encode_segment(std::string_view segment, std::size_t offset,
                                        Encoding& encoding) const {
  AlignedText aligned;
  if (model_.normalizes) {
    aligned = unicode::nfc(segment);
  } else {
    aligned.append(segment, {0, segment.size()}, true);
  }
  for (const AddedTokens::Part& part : model_.added.split(aligned.text, true)) {
    if (part.token == nullptr) {
      encode_plain(aligned, part.span, offset, encoding);
      continue;
    }
    const TextSpan span = aligned.original_of(part.span.begin, part.span.end);
    encoding.ids.push_back(part.token->id);
    encoding.spans.push_back({offset + span.begin, offset + span.end});
  }
}

Encoding ByteLevelTokenizer::encode(std::string_view text) const {
  check_text(text);
  Encoding encoding;
  for (const AddedTokens::Part& part : model_.added.split(text, false)) {
    if (part.token == nullptr) {
      encode_segment(text.substr(part.span.begin, part.span.end - part.span.begin), part.span.begin,
                     encoding);
    } else {
      encoding.ids.push_back(part.token->id);
      encoding.spans.push_back(part.span);
    }
  }
  return encoding;
}

std::string ByteLevelTokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::string bytes;
  for (const TokenId id : ids) {
    const std::size_t index = index_of(id);
    const AddedToken* added = skip_special ? model_.added.find(id) : nullptr;
    // A token whose normalised form is another one does not count as special, as in Hugging Face.
    if (added != nullptr && added->special && added->content == model_.pieces[index]) continue;
    bytes += model_.bytes[index];
  }
  return unicode::replace_invalid_utf8(bytes);
}

}  // namespace

std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view bytes, const std::string& where,
                                                const TokenizerConfig& config) {
  ByteLevelModel model = parse_byte_level_model(bytes, where, config);
  const std::string sha256 = sha256_hex(
      model.changes.empty() ? std::string(bytes) : std::string(bytes) + '\0' + model.changes);
  return std::make_unique<ByteLevelTokenizer>(std::move(model), sha256, config);
}

std::unique_ptr<Tokenizer> open_tokenizer_json(const std::filesystem::path& path,
                                               const TokenizerConfig& config) {
  return parse_tokenizer_json(read_downloaded_file(path, max_tokenizer_bytes), path.string(),
                              config);
}

}  // namespace moexray
