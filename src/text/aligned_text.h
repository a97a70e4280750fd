#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "moexray/text/tokenizer.h"

namespace moexray {

/// Text made from an original text, with the original bytes behind each part of it.
struct AlignedText {
  /// A stretch of `text` and the original bytes it stands for. Where the two are the same
  /// characters, positions map one to one; elsewhere any byte stands for the whole stretch.
  struct Run {
    TextSpan text;
    TextSpan original;
    bool is_identical = true;
  };

  std::string text;
  std::vector<Run> runs;  ///< consecutive, covering `text`

  /// Appends a run; identical neighbours are joined.
  void append(std::string_view part, TextSpan original, bool is_identical);
  /// The original bytes of every character that has a byte in the non-empty range [begin, end).
  TextSpan original_of(std::size_t begin, std::size_t end) const;
};

/// Makes a text from a range of another one, part by part, and keeps track of the original bytes.
class AlignedEdit {
 public:
  AlignedEdit(const AlignedText& from, TextSpan range);

  /// Takes over what comes up to `end`.
  void keep(std::size_t end);
  /// Puts `text` in place of what comes up to `end`; of nothing: it stands for no original byte.
  void replace(std::size_t end, std::string_view text);
  /// Takes over the rest.
  AlignedText finish();

 private:
  const AlignedText& from_;
  TextSpan left_;
  std::size_t run_ = 0;  ///< of `from_`, where `left_` begins
  AlignedText to_;
};

}  // namespace moexray
