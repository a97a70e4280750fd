#include "text_pattern.h"

#include <oniguruma.h>

#include <algorithm>
#include <climits>
#include <optional>

#include "moexray/core/error.h"
#include "pattern_syntax.h"
#include "unicode.h"

namespace moexray {
namespace {

// A search that takes more steps is begun anew with a higher limit, at the cost of the budget.
constexpr std::uint64_t first_steps = 512;
constexpr std::uint64_t more_steps = 8;  // times
constexpr unsigned max_stack_entries = 8'000'000;

const OnigUChar* bytes_of(const char* text) { return reinterpret_cast<const OnigUChar*>(text); }

// White space at a line's end, looked for at every start, takes quadratic time for long runs. A
// match never begins inside a run.
std::string_view in_linear_time(std::string_view pattern) {
  return pattern == R"(\s+$)" ? R"((?:\G|(?<!\s))\s+$)" : pattern;
}

void initialize_library() {
  static const int code = [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    return onig_initialize(encodings, 1);
  }();
  if (code != ONIG_NORMAL) throw Error(ErrorKind::runtime, "libonig cannot be initialised");
}

// One search after another in a text, with what libonig needs for it.
class Search {
 public:
  Search(OnigRegex regex, std::string_view text)
      : regex_(regex),
        text_(text),
        region_(onig_region_new(), [](OnigRegion* region) { onig_region_free(region, 1); }),
        limits_(onig_new_match_param(), onig_free_match_param) {
    if (region_ == nullptr || limits_ == nullptr) throw std::bad_alloc();
    onig_initialize_match_param(limits_.get());
    onig_set_match_stack_limit_size_of_match_param(limits_.get(), max_stack_entries);
  }

  std::optional<TextSpan> next(std::size_t from, MatchBudget& budget) {
    for (std::uint64_t limit = first_steps;; limit *= more_steps) {
      onig_set_retry_limit_in_match_of_match_param(limits_.get(), limit);
      onig_set_retry_limit_in_search_of_match_param(limits_.get(), limit);
      const OnigUChar* begin = bytes_of(text_.data());
      const OnigUChar* end = begin + text_.size();
      const int code = onig_search_with_param(regex_, begin, end, begin + from, end, region_.get(),
                                              ONIG_OPTION_NONE, limits_.get());
      if (code == ONIG_MISMATCH) return std::nullopt;
      if (code >= 0) {
        return TextSpan{static_cast<std::size_t>(region_->beg[0]),
                        static_cast<std::size_t>(region_->end[0])};
      }
      if (code != ONIGERR_RETRY_LIMIT_IN_MATCH_OVER && code != ONIGERR_RETRY_LIMIT_IN_SEARCH_OVER) {
        OnigUChar message[ONIG_MAX_ERROR_MESSAGE_LEN];
        onig_error_code_to_str(message, code);
        throw Error(ErrorKind::data, std::string("a pattern of the tokenizer cannot be matched: ") +
                                         reinterpret_cast<const char*>(message));
      }
      budget.take(limit);
    }
  }

 private:
  OnigRegex regex_;
  std::string_view text_;
  std::unique_ptr<OnigRegion, void (*)(OnigRegion*)> region_;
  std::unique_ptr<OnigMatchParam, void (*)(OnigMatchParam*)> limits_;
};

}  // namespace

void MatchBudget::take(std::uint64_t n_steps) {
  if (n_steps > left_) {
    throw Error(ErrorKind::data, "the steps of the tokenizer take too long on this text");
  }
  left_ -= n_steps;
}

struct TextPattern::Compiled {
  Compiled() = default;
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
  ~Compiled() {
    if (regex != nullptr) onig_free(regex);
  }
  OnigRegex regex = nullptr;
};

TextPattern::TextPattern(std::string_view pattern, const std::string& where) {
  initialize_library();
  const std::string rewritten = rewrite_pattern(in_linear_time(pattern), where);
  auto compiled = std::make_shared<Compiled>();
  OnigErrorInfo info = {};
  const OnigUChar* begin = bytes_of(rewritten.data());
  const int code = onig_new(&compiled->regex, begin, begin + rewritten.size(), ONIG_OPTION_NONE,
                            ONIG_ENCODING_UTF8, ONIG_SYNTAX_ONIGURUMA, &info);
  if (code != ONIG_NORMAL) {
    OnigUChar message[ONIG_MAX_ERROR_MESSAGE_LEN];
    onig_error_code_to_str(message, code, &info);
    throw Error(ErrorKind::data, {"malformed pattern",
                                  where,
                                  {},
                                  std::string(reinterpret_cast<const char*>(message)) + ": " +
                                      std::string(pattern)});
  }
  compiled_ = std::move(compiled);
}

TextPattern TextPattern::literal(std::string text) {
  TextPattern pattern;
  pattern.literal_ = std::move(text);
  return pattern;
}

std::vector<TextSpan> TextPattern::matches(std::string_view text, MatchBudget& budget) const {
  if (text.size() > INT_MAX) throw Error(ErrorKind::data, "text too long for a pattern");
  std::vector<TextSpan> found;
  if (!literal_.empty()) {
    for (std::size_t pos = text.find(literal_); pos != std::string_view::npos;
         pos = text.find(literal_, pos + literal_.size())) {
      found.push_back({pos, pos + literal_.size()});
    }
    return found;
  }
  Search search(compiled_->regex, text);
  for (std::size_t pos = 0; pos <= text.size();) {
    const std::optional<TextSpan> match = search.next(pos, budget);
    if (!match) break;
    if (match->begin == match->end && !found.empty() && found.back().end == match->end) {
      if (pos == text.size()) break;
      unicode::next_code_point(text, pos);
      continue;
    }
    found.push_back(*match);
    pos = match->end;
  }
  return found;
}

}  // namespace moexray
