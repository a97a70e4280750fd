#include "pattern_syntax.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "moexray/core/error.h"
#include "unicode_categories.h"

namespace moexray {
namespace {

constexpr std::size_t max_pattern_bytes = 16'384;
constexpr std::size_t max_rewritten_bytes = 2'000'000;
constexpr std::size_t max_groups = 100;  // inside each other
constexpr std::uint64_t max_count = 100'000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// "\x{41}-\x{5A}…", each set of categories once.
class ClassTexts {
 public:
  const std::string& of(std::uint32_t mask) {
    std::string& text = texts_[mask];
    if (text.empty()) {
      for (const auto& [first, last] : unicode::category_ranges(mask)) {
        text += fmt::format("\\x{{{:X}}}", static_cast<std::uint32_t>(first));
        if (last != first) text += fmt::format("-\\x{{{:X}}}", static_cast<std::uint32_t>(last));
      }
    }
    return text;
  }

 private:
  std::map<std::uint32_t, std::string> texts_;
};

class Rewriter {
 public:
  Rewriter(std::string_view pattern, const std::string& where) : in_(pattern), where_(where) {}

  std::string run() {
    if (in_.size() > max_pattern_bytes) {
      throw Error(ErrorKind::data,
                  {"pattern too long", where_, fmt::format("at most {} bytes", max_pattern_bytes),
                   std::to_string(in_.size())});
    }
    while (pos_ < in_.size()) {
      step();
      if (out_.size() > max_rewritten_bytes) fail(pos_, "too many classes of characters");
    }
    if (!groups_.empty()) fail(in_.size(), "a group is not closed");
    return std::move(out_);
  }

 private:
  struct Scope {
    bool ignores_case = false;
    bool in_look = false;  // inside look-around
  };

  [[noreturn]] void fail(std::size_t pos, const std::string& what) const {
    throw Error(
        ErrorKind::data,
        {"unsupported pattern", where_, {}, fmt::format("{} at byte {} of {}", what, pos, in_)});
  }

  bool next_is(std::string_view text) const { return in_.substr(pos_).starts_with(text); }
  void copy(std::size_t n) {
    out_ += in_.substr(pos_, n);
    pos_ += n;
  }

  void step() {
    switch (in_[pos_]) {
      case '\\':
        return escape(false);
      case '[':
        return bracket(0);
      case '(':
        return open_group();
      case ')':
        if (groups_.empty()) fail(pos_, "a bracket that closes no group");
        scope_ = groups_.back();
        groups_.pop_back();
        return copy(1);
      case '*':
      case '+':
        if (scope_.in_look) fail(pos_, "repetition without limit inside look-around");
        return copy(1);
      case '{':
        return count();
      default:
        return copy(1);
    }
  }

  // The number at `pos`, which moves behind it.
  std::uint64_t number(std::size_t& pos) const {
    std::uint64_t value = 0;
    while (pos < in_.size() && is_digit(in_[pos])) {
      value = std::min(value * 10 + static_cast<std::uint64_t>(in_[pos++] - '0'), max_count + 1);
    }
    return value;
  }

  // {n}, {n,}, {,m} or {n,m}; any other brace stands for itself.
  void count() {
    std::size_t pos = pos_ + 1;
    const std::size_t begin = pos;
    std::uint64_t most = number(pos);
    bool is_count = pos > begin;
    bool is_open = false;
    if (pos < in_.size() && in_[pos] == ',') {
      const std::size_t second = ++pos;
      const std::uint64_t upper = number(pos);
      is_open = pos == second;
      is_count = is_count || !is_open;
      most = std::max(most, upper);
    }
    if (!is_count || pos >= in_.size() || in_[pos] != '}') return copy(1);
    if (is_open && scope_.in_look) fail(pos_, "repetition without limit inside look-around");
    counts_ *= std::max<std::uint64_t>(most, 1);
    if (counts_ > max_count) fail(pos_, "too much repetition");
    copy(pos + 1 - pos_);
  }

  void open_group() {
    if (groups_.size() >= max_groups) fail(pos_, "groups nested too deeply");
    if (next_is("(*")) fail(pos_, "a callout");
    Scope inner = scope_;
    std::size_t length = 1;
    if (next_is("(?")) {
      if (next_is("(?:") || next_is("(?>")) {
        length = 3;
      } else if (next_is("(?=") || next_is("(?!")) {
        length = 3;
        inner.in_look = true;
      } else if (next_is("(?<=") || next_is("(?<!")) {
        length = 4;
        inner.in_look = true;
      } else {
        length = options(inner);
        if (in_[pos_ + length - 1] == ')') {  // for the rest of the group around it
          scope_.ignores_case = inner.ignores_case;
          return copy(length);
        }
      }
    }
    groups_.push_back(scope_);
    scope_ = inner;
    copy(length);
  }

  // The length of "(?i:", "(?-i)" and the like.
  std::size_t options(Scope& scope) const {
    bool turns_on = true;
    for (std::size_t pos = pos_ + 2; pos < in_.size(); ++pos) {
      const char c = in_[pos];
      if ((c == ':' || c == ')') && pos > pos_ + 2) return pos + 1 - pos_;
      if (c == '-' && turns_on) {
        turns_on = false;
      } else if (c == 'i') {
        scope.ignores_case = turns_on;
      } else if (c != 'm') {
        break;
      }
    }
    fail(pos_, "a group of a kind that is not supported");
  }

  void escape(bool in_bracket) {
    if (pos_ + 1 >= in_.size()) fail(pos_, "nothing is escaped");
    const char c = in_[pos_ + 1];
    if (c == 'p' || c == 'P') return property(in_bracket);
    if (c == 'd' || c == 'D') {
      put_class(unicode::category_mask("Nd"), c == 'D', in_bracket);
      pos_ += 2;
      return;
    }
    constexpr std::string_view allowed_letters = "abBefGhHnNOrRsStvwWxAzZ";
    if (is_letter(c) && allowed_letters.find(c) == std::string_view::npos) {
      fail(pos_, fmt::format("\\{}", c));
    }
    if (c >= '1' && c <= '9') fail(pos_, "a back reference");
    if (c != 'x' || pos_ + 2 >= in_.size() || in_[pos_ + 2] != '{') return copy(2);
    const std::size_t close = in_.find('}', pos_);
    if (close == std::string_view::npos) fail(pos_, "a brace is not closed");
    copy(close + 1 - pos_);
  }

  // Inside a bracket a class of its own, so that its neighbours make no range with it.
  void put_class(std::uint32_t mask, bool is_negated, bool in_bracket) {
    // Where case is ignored, that goes for classes in brackets only.
    const bool keeps_case = !in_bracket && scope_.ignores_case;
    out_ += keeps_case ? "(?-i:[" : "[";
    if (is_negated) out_ += '^';
    out_ += classes_.of(mask);
    out_ += keeps_case ? "])" : "]";
  }

  void property(bool in_bracket) {
    const std::size_t close = in_.find('}', pos_);
    if (pos_ + 2 >= in_.size() || in_[pos_ + 2] != '{' || close == std::string_view::npos) {
      fail(pos_, "a property without a name");
    }
    std::string_view name = in_.substr(pos_ + 3, close - pos_ - 3);
    bool is_negated = in_[pos_ + 1] == 'P';
    if (name.starts_with('^')) {
      is_negated = !is_negated;
      name.remove_prefix(1);
    }
    const std::uint32_t mask = unicode::category_mask(name);
    if (mask == 0) return copy(close + 1 - pos_);  // a script, say: as libonig has it
    put_class(mask, is_negated, in_bracket);
    pos_ = close + 1;
  }

  void bracket(std::size_t depth) {
    const std::size_t begin = pos_;
    if (depth >= max_groups) fail(begin, "brackets nested too deeply");
    copy(1);
    if (pos_ < in_.size() && in_[pos_] == '^') copy(1);
    if (pos_ < in_.size() && in_[pos_] == ']') fail(pos_, "a bracket with nothing in it");
    while (pos_ < in_.size()) {
      if (in_[pos_] == ']') return copy(1);
      if (in_[pos_] == '\\') {
        escape(true);
      } else if (next_is("[:") && in_.find(":]", pos_) != std::string_view::npos) {
        copy(in_.find(":]", pos_) + 2 - pos_);
      } else if (in_[pos_] == '[') {
        bracket(depth + 1);
      } else {
        copy(1);
      }
    }
    fail(begin, "a bracket is not closed");
  }

  std::string_view in_;
  const std::string& where_;
  std::size_t pos_ = 0;
  std::string out_;
  Scope scope_;
  std::vector<Scope> groups_;  // what holds around each open group
  std::uint64_t counts_ = 1;   // all counts multiplied: no text needs more steps than so many times
                               // its length
  ClassTexts classes_;
};

}  // namespace

std::string rewrite_pattern(std::string_view pattern, const std::string& where) {
  return Rewriter(pattern, where).run();
}

}  // namespace moexray
