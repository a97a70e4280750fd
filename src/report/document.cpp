#include "moexray/report/document.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "moexray/core/escape.h"

namespace moexray::report {

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text, std::numeric_limits<std::size_t>::max())) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string one_line(std::string_view text, std::size_t max_bytes) {
  // A prompt can be megabytes long; behind this many bytes nothing is shown of it.
  std::string line(text.substr(0, 4 * max_bytes + 4));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  return printable(line, max_bytes);
}

void Document::paragraph(std::string text) { blocks_.emplace_back(Lines{std::move(text), false}); }

void Document::note(std::string text) { blocks_.emplace_back(Lines{std::move(text), true}); }

void Document::table(Table table, std::string caption) {
  blocks_.emplace_back(Captioned{std::move(table), std::move(caption)});
}

void Document::append(Document other) {
  std::move(other.blocks_.begin(), other.blocks_.end(), std::back_inserter(blocks_));
}

std::string Document::text(std::size_t width) const {
  std::string out;
  for (const auto& block : blocks_) {
    const auto* lines = std::get_if<Lines>(&block);
    if (!out.empty() && !(lines && lines->attached)) out += '\n';
    if (lines == nullptr) {
      out += std::get<Captioned>(block).table.text(width);
    } else {
      for (const std::string& line : wrapped(lines->text, width)) out += line + '\n';
    }
  }
  return out;
}

std::string Document::html() const {
  std::string out;
  for (const auto& block : blocks_) {
    if (const auto* captioned = std::get_if<Captioned>(&block)) {
      out += captioned->table.html(captioned->caption);
      continue;
    }
    std::string_view rest = std::get<Lines>(block).text;
    out += "<p>";
    for (bool first = true; !rest.empty(); first = false) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      if (!first) out += "<br>\n";
      out += html_escaped(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    out += "</p>\n";
  }
  return out;
}

}  // namespace moexray::report
