#include "gpt2_words.h"

#include <cstdint>

#include "unicode.h"

namespace moexray {
namespace {

enum class CharClass : std::uint8_t { letter, number, space, other };

CharClass class_of(char32_t c) {
  if (c < 0x80) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return CharClass::letter;
    if (c >= '0' && c <= '9') return CharClass::number;
    return c == ' ' || (c >= '\t' && c <= '\r') ? CharClass::space : CharClass::other;
  }
  if (unicode::is_letter(c)) return CharClass::letter;
  if (unicode::is_number(c)) return CharClass::number;
  return unicode::is_white_space(c) ? CharClass::space : CharClass::other;
}

std::size_t length_of_contraction(std::string_view text) {
  for (const std::string_view suffix : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
    if (text.starts_with(suffix)) return suffix.size();
  }
  return 0;
}

std::size_t end_of_class(std::string_view text, std::size_t pos, CharClass wanted) {
  while (pos < text.size()) {
    std::size_t next = pos;
    if (class_of(unicode::next_code_point(text, next)) != wanted) break;
    pos = next;
  }
  return pos;
}

}  // namespace

std::size_t end_of_gpt2_word(std::string_view text, std::size_t begin) {
  if (const std::size_t length = length_of_contraction(text.substr(begin)); length > 0) {
    return begin + length;
  }
  std::size_t after_first = begin;
  const CharClass first = class_of(unicode::next_code_point(text, after_first));
  if (first != CharClass::space) return end_of_class(text, after_first, first);

  if (text[begin] == ' ' && after_first < text.size()) {
    std::size_t after_second = after_first;
    const CharClass second = class_of(unicode::next_code_point(text, after_second));
    if (second != CharClass::space) return end_of_class(text, after_second, second);
  }
  const std::size_t end = end_of_class(text, after_first, CharClass::space);
  // "\s+(?!\S)": white space before a word leaves its last character to what follows.
  if (end == text.size() || end == after_first) return end;
  std::size_t last = end;
  unicode::previous_code_point(text, last);
  return last;
}

}  // namespace moexray
