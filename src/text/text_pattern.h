#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/text/tokenizer.h"

namespace moexray {

/// How many steps back the patterns of a tokenizer may take on one text, and how many bytes its
/// steps may put into it, all of them together: far more than a tokenizer needs, and an end for
/// those that would take for ever.
class MatchBudget {
 public:
  explicit MatchBudget(std::size_t text_bytes) : left_(base + per_byte * text_bytes) {}
  /// @throws Error (data) if so many are not left, which ends the encoding of the text.
  void take(std::uint64_t n_steps);

 private:
  static constexpr std::uint64_t base = 300'000;
  static constexpr std::uint64_t per_byte = 32;
  std::uint64_t left_;
};

/// A regular expression of a tokenizer, matched by libonig as in Hugging Face's tokenizers.
class TextPattern {
 public:
  /// @param where the file and the key, for messages.
  /// @throws Error (data) for a pattern that is malformed or not supported (rewrite_pattern()).
  TextPattern(std::string_view pattern, const std::string& where);
  /// Matches a text, which must not be empty, as it is.
  static TextPattern literal(std::string text);

  /// The matches in well-formed UTF-8, from left to right, none overlapping another. An empty one
  /// right behind another match does not count.
  /// @throws Error (data) if the budget is used up, or the match needs too much memory.
  std::vector<TextSpan> matches(std::string_view text, MatchBudget& budget) const;

 private:
  struct Compiled;
  TextPattern() = default;

  std::string literal_;  ///< "": the regular expression
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace moexray
