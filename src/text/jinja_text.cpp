#include "jinja_text.h"

#include <algorithm>
#include <vector>

namespace moexray {
namespace {

enum class PartKind { text, block, expression, comment };

struct Part {
  PartKind kind = PartKind::text;
  std::string content;      // of a tag: its canonical tokens
  char strip_before = ' ';  // '-', '+' or none
  char strip_after = ' ';
};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Line ends as Jinja reads them, without the last one.
std::string with_plain_line_ends(std::string_view source) {
  std::string text;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      text += source[i];
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

// Reads a string literal at `pos`, which moves behind it, and writes it with fixed quotes and
// escapes.
std::string canonical_literal(std::string_view source, std::size_t& pos) {
  const char quote = source[pos++];
  std::string literal = "'";
  while (pos < source.size() && source[pos] != quote) {
    char c = source[pos++];
    bool is_plain = true;
    if (c == '\\' && pos < source.size()) {
      constexpr std::string_view escapes = "n\nt\t\\\\'\'\"\"";
      const char escaped = source[pos++];
      is_plain = false;
      for (std::size_t i = 0; i < escapes.size(); i += 2) {
        if (escapes[i] == escaped) {
          c = escapes[i + 1];
          is_plain = true;
        }
      }
      if (!is_plain) literal += {'\\', '?', escaped};
    }
    if (!is_plain) continue;
    if (c == '\'' || c == '\\') literal += '\\';
    literal += c;
  }
  ++pos;
  return literal + "'";
}

// Reads a tag's inside up to its closing delimiter ("%}" or "}}").
void read_tag(std::string_view source, std::size_t& pos, std::string_view close, Part& part) {
  if (pos < source.size() && (source[pos] == '-' || source[pos] == '+'))
    part.strip_before = source[pos++];
  while (pos < source.size()) {
    if (is_space(source[pos])) {
      ++pos;
      continue;
    }
    const bool has_mark = source[pos] == '-' || source[pos] == '+';
    if (source.substr(pos + (has_mark ? 1 : 0)).starts_with(close)) {
      if (has_mark) part.strip_after = source[pos++];
      pos += close.size();
      return;
    }
    if (!part.content.empty()) part.content += ' ';
    if (source[pos] == '\'' || source[pos] == '"') {
      part.content += canonical_literal(source, pos);
      continue;
    }
    const std::size_t begin = pos++;
    if (is_name_char(source[begin])) {
      while (pos < source.size() && is_name_char(source[pos])) ++pos;
    }
    part.content += source.substr(begin, pos - begin);
  }
  part.content += " (not closed)";
}

void read_comment(std::string_view source, std::size_t& pos, Part& part) {
  if (pos < source.size() && (source[pos] == '-' || source[pos] == '+'))
    part.strip_before = source[pos];
  const std::size_t end = std::min(source.find("#}", pos), source.size());
  if (end > pos && end < source.size() && (source[end - 1] == '-' || source[end - 1] == '+')) {
    part.strip_after = source[end - 1];
  }
  pos = std::min(end + 2, source.size());
}

std::vector<Part> split_parts(std::string_view source) {
  std::vector<Part> parts;
  std::size_t pos = 0;
  while (pos < source.size()) {
    std::size_t open = pos;
    while (open < source.size() &&
           !(source[open] == '{' && open + 1 < source.size() &&
             std::string_view("%{#").find(source[open + 1]) != std::string_view::npos)) {
      ++open;
    }
    parts.push_back({PartKind::text, std::string(source.substr(pos, open - pos))});
    if (open >= source.size()) break;
    pos = open + 2;
    Part part;
    switch (source[open + 1]) {
      case '%':
        part.kind = PartKind::block;
        read_tag(source, pos, "%}", part);
        break;
      case '{':
        part.kind = PartKind::expression;
        read_tag(source, pos, "}}", part);
        break;
      default:
        part.kind = PartKind::comment;
        read_comment(source, pos, part);
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

// Takes away the white space that tags strip from the text between them.
void strip_texts(std::vector<Part>& parts) {
  bool at_line_start = true;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].kind != PartKind::text) continue;
    std::string& text = parts[i].content;
    if (i > 0) {
      const Part& before = parts[i - 1];
      at_line_start = false;
      if (before.strip_after == '-') {
        const auto begin = std::find_if_not(text.begin(), text.end(), is_space);
        at_line_start = begin != text.begin() && *(begin - 1) == '\n';
        text.erase(text.begin(), begin);
      } else if (before.kind != PartKind::expression && before.strip_after != '+' &&
                 text.starts_with('\n')) {
        text.erase(0, 1);
        at_line_start = true;
      }
    }
    if (i + 1 == parts.size()) continue;
    const Part& after = parts[i + 1];
    if (after.strip_before == '-') {
      while (!text.empty() && is_space(text.back())) text.pop_back();
    } else if (after.kind != PartKind::expression && after.strip_before != '+') {
      const std::size_t line = text.rfind('\n') + 1;
      if ((line > 0 || at_line_start) &&
          std::all_of(text.begin() + static_cast<std::ptrdiff_t>(line), text.end(), is_space)) {
        text.erase(line);
      }
    }
  }
}

}  // namespace

std::string canonical_template(std::string_view source) {
  std::vector<Part> parts = split_parts(with_plain_line_ends(source));
  strip_texts(parts);
  // Texts on both sides of a comment are one text.
  std::vector<Part> joined;
  for (Part& part : parts) {
    if (part.kind == PartKind::comment) continue;
    if (part.kind == PartKind::text && part.content.empty()) continue;
    if (part.kind == PartKind::text && !joined.empty() && joined.back().kind == PartKind::text) {
      joined.back().content += part.content;
    } else {
      joined.push_back(std::move(part));
    }
  }
  // Sizes keep a text from looking like a tag.
  std::string canonical;
  for (const Part& part : joined) {
    canonical += part.kind == PartKind::text    ? "text "
                 : part.kind == PartKind::block ? "block "
                                                : "print ";
    canonical += std::to_string(part.content.size()) + ":" + part.content + "\n";
  }
  return canonical;
}

}  // namespace moexray
