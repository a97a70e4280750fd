#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "json_text.h"
#include "moexray/trace/prompts.h"

namespace moexray::trace {

/// What a file is whose first line is no object of JSON Lines, in words and with a way out, where
/// that can be told: a JSON array or an object over several lines, CSV, compressed data, a Git LFS
/// pointer, … Empty where it cannot.
/// @param line the first line that is not blank.
std::string hint_for_first_line(std::string_view line, const PromptReadOptions& keys);

/// Which keys the lines of a file have: a file that gives the prompt under another key is told
/// once, not line by line.
class KeySurvey {
 public:
  explicit KeySurvey(const PromptReadOptions& keys) : keys_(keys) {}

  /// Sees the object of a line.
  void add(const Json& object);

  /// What is wrong with the keys as a whole, and what would be right; empty: nothing. No line has
  /// the prompt's key, or none has a key that was asked for by name.
  std::string problem() const;

 private:
  struct Key {
    std::int64_t n_texts = 0;       // lines where it holds a text or messages
    std::int64_t n_text_bytes = 0;  // of these
    std::int64_t n_lists_of_objects = 0;
  };

  std::string missing_prompt() const;
  std::string likely_prompt_key() const;

  PromptReadOptions keys_;
  std::int64_t n_lines_ = 0;
  std::int64_t n_prompts_ = 0;
  std::int64_t n_ids_ = 0;
  std::int64_t n_categories_ = 0;
  std::map<std::string, Key> others_;  // of the first lines
};

}  // namespace moexray::trace
