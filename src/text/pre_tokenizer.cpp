#include "pre_tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "byte_pieces.h"
#include "gpt2_words.h"
#include "unicode.h"

namespace moexray {
namespace {

using Behavior = PreTokenizer::Behavior;
using json_steps::Json;
using json_steps::Place;

std::string_view text_of(const Word& word) {
  return std::string_view(word.text->text).substr(word.begin, word.end - word.begin);
}

// --- Cutting
// --------------------------------------------------------------------------------------

struct Part {
  TextSpan span;
  bool is_match = false;
};

// Matches and what is between them.
std::vector<Part> parts_of(std::size_t n_bytes, const std::vector<TextSpan>& matches, bool invert) {
  std::vector<Part> parts;
  std::size_t done = 0;
  for (const TextSpan& match : matches) {
    if (match.begin != done) parts.push_back({{done, match.begin}, invert});
    parts.push_back({match, !invert});
    done = match.end;
  }
  if (done != n_bytes) parts.push_back({{done, n_bytes}, invert});
  return parts;
}

// Joins a part to the one before it (in the order of the range) where `joins` says so.
template <typename Iterator, typename Joins>
std::vector<TextSpan> joined(Iterator begin, Iterator end, const Joins& joins) {
  std::vector<TextSpan> spans;
  bool after_match = false;
  for (Iterator part = begin; part != end; ++part) {
    if (!spans.empty() && joins(part->is_match, after_match)) {
      spans.back().begin = std::min(spans.back().begin, part->span.begin);
      spans.back().end = std::max(spans.back().end, part->span.end);
    } else {
      spans.push_back(part->span);
    }
    after_match = part->is_match;
  }
  return spans;
}

std::vector<TextSpan> spans_of(const std::vector<Part>& parts, Behavior behavior) {
  const auto lone_match = [](bool is_match, bool after_match) { return is_match && !after_match; };
  switch (behavior) {
    case Behavior::merged_with_previous:
      return joined(parts.begin(), parts.end(), lone_match);
    case Behavior::merged_with_next: {
      std::vector<TextSpan> spans = joined(parts.rbegin(), parts.rend(), lone_match);
      std::reverse(spans.begin(), spans.end());
      return spans;
    }
    case Behavior::contiguous:
      return joined(parts.begin(), parts.end(),
                    [](bool is_match, bool after_match) { return is_match == after_match; });
    default: {
      std::vector<TextSpan> spans;
      for (const Part& part : parts) {
        if (behavior != Behavior::removed || !part.is_match) spans.push_back(part.span);
      }
      return spans;
    }
  }
}

// One step at work: reads words, appends what it makes of them.
class StepRun {
 public:
  StepRun(std::size_t offset, MatchBudget& budget, Words& words)
      : offset_(offset), budget_(budget), words_(words) {}

  void take(const PreTokenizer::Split& step, const Word& word) {
    const auto matches = step.pattern.matches(text_of(word), budget_);
    cut(word, parts_of(word.end - word.begin, matches, step.invert), step.behavior);
  }

  void take(const PreTokenizer::Digits& step, const Word& word) {
    const std::string_view text = text_of(word);
    std::vector<TextSpan> digits;
    for (std::size_t pos = 0; pos < text.size();) {
      const std::size_t begin = pos;
      if (unicode::is_number(unicode::next_code_point(text, pos))) digits.push_back({begin, pos});
    }
    cut(word, parts_of(text.size(), digits, false),
        step.individual ? Behavior::isolated : Behavior::contiguous);
  }

  void take(const PreTokenizer::ByteLevel& step, const Word& word) {
    Word whole = word;
    if (step.add_prefix_space && !text_of(word).starts_with(' ')) {
      AlignedEdit edit(*word.text, {word.begin, word.end});
      edit.replace(word.begin, " ");
      whole = make(edit.finish());
    }
    if (!step.use_regex) return put(whole);
    const std::string_view text = text_of(whole);
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = end_of_gpt2_word(text, begin);
      put({whole.text, whole.begin + begin, whole.begin + end});
      begin = end;
    }
  }

  void take(const PreTokenizer::Metaspace& step, const Word& word) {
    using Prepend = PreTokenizer::Metaspace::Prepend;
    const std::string_view text = text_of(word);
    AlignedEdit edit(*word.text, {word.begin, word.end});
    const bool is_first = offset_ + word.text->original_of(word.begin, word.begin + 1).begin == 0;
    if ((step.prepend == Prepend::always || (step.prepend == Prepend::first && is_first)) &&
        !text.starts_with(' ') && !text.starts_with(step.replacement)) {
      budget_.take(step.replacement.size());
      edit.replace(word.begin, step.replacement);
    }
    for (std::size_t pos = text.find(' '); pos != std::string_view::npos;
         pos = text.find(' ', pos + 1)) {
      budget_.take(step.replacement.size());
      edit.keep(word.begin + pos);
      edit.replace(word.begin + pos + 1, step.replacement);
    }
    const Word changed = make(edit.finish());
    if (!step.split) return put(changed);
    const auto marks = TextPattern::literal(step.replacement).matches(text_of(changed), budget_);
    cut(changed, parts_of(changed.end, marks, false), Behavior::merged_with_next);
  }

 private:
  void put(const Word& word) {
    if (word.begin < word.end) words_.list.push_back(word);
  }

  void cut(const Word& word, const std::vector<Part>& parts, Behavior behavior) {
    for (const TextSpan& span : spans_of(parts, behavior)) {
      put({word.text, word.begin + span.begin, word.begin + span.end});
    }
  }

  Word make(AlignedText text) {
    words_.made.push_back(std::move(text));
    return {&words_.made.back(), 0, words_.made.back().text.size()};
  }

  std::size_t offset_;
  MatchBudget& budget_;
  Words& words_;
};

// --- Reading
// --------------------------------------------------------------------------------------

PreTokenizer::Split parse_split(const Json& json, const Place& place) {
  constexpr std::array<std::pair<std::string_view, Behavior>, 5> behaviors = {
      {{"Isolated", Behavior::isolated},
       {"Removed", Behavior::removed},
       {"MergedWithPrevious", Behavior::merged_with_previous},
       {"MergedWithNext", Behavior::merged_with_next},
       {"Contiguous", Behavior::contiguous}}};
  const std::string name = json_steps::text_at(json, place, "behavior");
  const auto* found = std::find_if(behaviors.begin(), behaviors.end(),
                                   [&](const auto& known) { return known.first == name; });
  if (found == behaviors.end()) {
    json_file::fail(place.file, place.key + ".behavior", "unknown behaviour",
                    "Isolated, Removed, MergedWithPrevious, MergedWithNext or Contiguous", name);
  }
  return {json_steps::parse_pattern(json, place), found->second,
          json_file::bool_or(json, "invert", false, place.file)};
}

PreTokenizer::Metaspace parse_metaspace(const Json& json, const Place& place) {
  using Prepend = PreTokenizer::Metaspace::Prepend;
  PreTokenizer::Metaspace step;
  step.replacement = json_steps::char_at(json, place, "replacement", space_mark);
  step.split = json_file::bool_or(json, "split", true, place.file);
  const std::string scheme = json_file::string_or(json, "prepend_scheme", "always", place.file);
  step.prepend = scheme == "always"  ? Prepend::always
                 : scheme == "first" ? Prepend::first
                                     : Prepend::never;
  if (step.prepend == Prepend::never && scheme != "never") {
    json_file::fail(place.file, place.key + ".prepend_scheme", "wrong value",
                    "\"always\", \"first\" or \"never\"", scheme);
  }
  if (!json_file::bool_or(json, "add_prefix_space", true, place.file)) {
    step.prepend = Prepend::never;  // as older files say it
  }
  return step;
}

// GPT-2's words as a Split. As its pattern matches everywhere, keeping the matches apart and
// removing what is between them are the same.
bool is_gpt2_split(const PreTokenizer::Split& split, const std::string& regex) {
  return regex == gpt2_pattern && ((split.behavior == Behavior::isolated && !split.invert) ||
                                   (split.behavior == Behavior::removed && split.invert));
}

}  // namespace

bool PreTokenizer::adds_prefix_space() const {
  return is_byte_level() && std::get<ByteLevel>(steps_.back()).add_prefix_space;
}

void PreTokenizer::cut(const AlignedText& text, TextSpan range, std::size_t offset,
                       MatchBudget& budget, Words& words) const {
  words.list.assign(1, {&text, range.begin, range.end});
  words.made.clear();
  StepRun run(offset, budget, words);
  for (const Step& step : steps_) {
    std::vector<Word> before;
    before.swap(words.list);
    std::visit(
        [&](const auto& one) {
          for (const Word& word : before) run.take(one, word);
        },
        step);
  }
}

PreTokenizer parse_pre_tokenizer(const Json& json, const std::string& file) {
  std::vector<PreTokenizer::Step> steps;
  std::string last_regex;  // of the step before, if it is GPT-2's words
  const auto take = [&](const Json& step, const Place& place) {
    if (!steps.empty() && std::holds_alternative<PreTokenizer::ByteLevel>(steps.back())) {
      json_steps::refuse(place, "", "unsupported pre-tokenizer", "nothing behind \"ByteLevel\"",
                         step);
    }
    const std::string type = json_steps::type_of(step, place);
    const std::string regex = std::exchange(last_regex, "");
    if (type == "Split") {
      steps.emplace_back(parse_split(step, place));
      last_regex = json_steps::regex_of(step);
    } else if (type == "Digits") {
      steps.emplace_back(
          PreTokenizer::Digits{json_file::bool_or(step, "individual_digits", false, file)});
    } else if (type == "ByteLevel") {
      PreTokenizer::ByteLevel byte_level{json_file::bool_or(step, "add_prefix_space", true, file),
                                         json_file::bool_or(step, "use_regex", true, file)};
      const auto* split = steps.empty() ? nullptr : std::get_if<PreTokenizer::Split>(&steps.back());
      if (split != nullptr && is_gpt2_split(*split, regex) && !byte_level.use_regex &&
          !byte_level.add_prefix_space) {
        steps.pop_back();  // the same words, faster
        byte_level.use_regex = true;
      }
      steps.emplace_back(byte_level);
    } else if (type == "Metaspace") {
      steps.emplace_back(parse_metaspace(step, place));
    } else {
      json_steps::refuse(place, "type", "unsupported pre-tokenizer",
                         "\"Split\", \"Digits\", \"ByteLevel\", \"Metaspace\" or a \"Sequence\" of "
                         "them",
                         type);
    }
  };
  json_steps::for_each_step(json, {file, "pre_tokenizer"}, "pretokenizers", take);
  return PreTokenizer(std::move(steps));
}

}  // namespace moexray
