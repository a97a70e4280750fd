#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "aligned_text.h"
#include "json_steps.h"
#include "text_pattern.h"

namespace moexray {

/// What a tokenizer does to a text before it cuts it into words: the steps of "normalizer" in
/// tokenizer.json, one after another.
class Normalizer {
 public:
  struct Nfc {};
  struct Prepend {
    std::string text;
  };
  struct Replace {
    TextPattern pattern;
    std::string content;
  };
  using Step = std::variant<Nfc, Prepend, Replace>;

  Normalizer() = default;
  explicit Normalizer(std::vector<Step> steps) : steps_(std::move(steps)) {}

  bool is_nothing() const { return steps_.empty(); }
  bool is_nfc() const { return steps_.size() == 1 && std::holds_alternative<Nfc>(steps_[0]); }
  /// The text as it becomes, and the bytes of `text` that each part of it comes from.
  AlignedText apply(std::string_view text, MatchBudget& budget) const;

 private:
  std::vector<Step> steps_;
};

/// @throws Error (data) naming file and key of what is malformed or not supported.
Normalizer parse_normalizer(const json_steps::Json& json, const std::string& file);

}  // namespace moexray
