#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "moexray/core/routing.h"
#include "moexray/text/tokenizer.h"

namespace moexray {

/// A token that is looked for in the text itself, before the model of the tokenizer sees it.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool single_word = false;  ///< only between characters that are not of a word
  bool lstrip = false;       ///< takes white space on its left along
  bool rstrip = false;       ///< takes white space on its right along
  bool normalized = false;   ///< looked for in the normalised text, in its normalised form
  bool special = false;      ///< left out by decode(skip_special)
};

/// Gathers added tokens from all files that name some, before they are looked for. A token of the
/// vocabulary keeps its id, any other gets the next free one, whatever a file says.
class AddedTokenList {
 public:
  using Vocabulary = std::function<std::optional<TokenId>(std::string_view content)>;

  AddedTokenList(Vocabulary vocabulary, std::size_t vocab_size)
      : vocabulary_(std::move(vocabulary)), next_id_(static_cast<TokenId>(vocab_size)) {}

  /// The id a token has, or gets when it is put.
  TokenId id_of(std::string_view content) const;
  bool contains(std::string_view content) const;
  /// Adds a token, whose id must be id_of() it, or gives one that is there the flags of `token`.
  void put(AddedToken token);
  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  Vocabulary vocabulary_;
  TokenId next_id_;
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, std::size_t> by_content_;
};

/// Finds the leftmost, longest of a set of strings: a trie over bytes.
class TokenTrie {
 public:
  void add(std::string_view content, std::size_t value);
  /// The value of the longest entry that `text` starts with, and its length; length 0: none.
  struct Match {
    std::size_t value = 0;
    std::size_t length = 0;
  };
  Match longest_prefix(std::string_view text) const;
  bool empty() const { return nodes_.size() == 1; }

 private:
  struct Node {
    std::int32_t first_child = -1;
    std::int32_t sibling = -1;
    std::int32_t value = -1;
    char byte = 0;
  };
  std::int32_t child(std::int32_t node, char byte) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::int32_t root_children_[256] = {};  ///< 0: none
};

/// The added tokens of a tokenizer and how they split a text, as Hugging Face's `AddedVocabulary`.
class AddedTokens {
 public:
  static constexpr std::size_t max_content_bytes = 1024;
  static constexpr std::size_t max_total_bytes = 4'000'000;

  /// Adds a token; `pattern` is what is looked for: its content, normalised if the token is. A
  /// second token of the same content is ignored.
  /// @throws Error (data) if the content is empty or too long.
  void add(const AddedToken& token, std::string_view pattern);

  struct Part {
    TextSpan span;
    const AddedToken* token = nullptr;  ///< nullptr: ordinary text
  };
  /// Splits `text` at the tokens that are looked for in raw (`normalized` = false) or normalised
  /// text.
  std::vector<Part> split(std::string_view text, bool normalized) const;

  const AddedToken* find(std::string_view content) const;
  const AddedToken* find(TokenId id) const;
  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, std::size_t> by_content_;
  std::unordered_map<TokenId, std::size_t> by_id_;
  TokenTrie raw_;
  TokenTrie normalized_;
  std::size_t total_bytes_ = 0;
};

}  // namespace moexray
