#pragma once

#include <string>
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

}  // namespace moexray
