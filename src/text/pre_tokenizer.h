#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <variant>
#include <vector>

#include "aligned_text.h"
#include "json_steps.h"
#include "text_pattern.h"

namespace moexray {

/// A part of a text which byte pairs are merged in; not empty.
struct Word {
  const AlignedText* text = nullptr;
  std::size_t begin = 0;  ///< range in text->text
  std::size_t end = 0;
};

/// The words of a text, and the texts that steps have made to hold some of them.
struct Words {
  std::vector<Word> list;
  std::deque<AlignedText> made;
};

/// How a tokenizer cuts a normalised text into words: the steps of "pre_tokenizer" in
/// tokenizer.json. Each takes the words of the one before apart.
class PreTokenizer {
 public:
  /// What becomes of the matches of a pattern and of what is between them.
  enum class Behavior : std::uint8_t {
    isolated,              ///< words of their own
    removed,               ///< matches are lost
    merged_with_previous,  ///< a match belongs to what is before it
    merged_with_next,      ///< a match belongs to what is behind it
    contiguous,            ///< neighbouring matches are one word
  };
  struct Split {
    TextPattern pattern;
    Behavior behavior = Behavior::isolated;
    bool invert = false;  ///< what lies between matches counts as matches
  };
  struct Digits {
    bool individual = false;  ///< every digit by itself
  };
  /// The words are merged as bytes. Nothing comes behind it.
  struct ByteLevel {
    bool add_prefix_space = false;  ///< before every word that does not begin with a space
    bool use_regex = true;          ///< cuts at GPT-2's pattern
  };
  /// Spaces become another character, which one is put before the text too.
  struct Metaspace {
    enum class Prepend : std::uint8_t { always, first, never };
    std::string replacement;
    Prepend prepend = Prepend::always;
    bool split = true;  ///< cuts before every replacement
  };
  using Step = std::variant<Split, Digits, ByteLevel, Metaspace>;

  PreTokenizer() = default;
  explicit PreTokenizer(std::vector<Step> steps) : steps_(std::move(steps)) {}

  /// The one step of a plain byte-level tokenizer, else null.
  const ByteLevel* plain_byte_level() const {
    return steps_.size() == 1 ? std::get_if<ByteLevel>(&steps_[0]) : nullptr;
  }
  bool is_byte_level() const {
    return !steps_.empty() && std::holds_alternative<ByteLevel>(steps_.back());
  }
  /// Whether some step puts a space before words.
  bool adds_prefix_space() const;

  /// The words of `range` of `text`, whose original begins at `offset` of the whole text. They
  /// refer to `text` and to what `words` holds.
  void cut(const AlignedText& text, TextSpan range, std::size_t offset, MatchBudget& budget,
           Words& words) const;

 private:
  std::vector<Step> steps_;
};

/// @throws Error (data) naming file and key of what is malformed or not supported.
PreTokenizer parse_pre_tokenizer(const json_steps::Json& json, const std::string& file);

}  // namespace moexray
