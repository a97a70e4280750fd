#include "moexray/report/table.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/report/document.h"
#include "moexray/report/html_table.h"

namespace moexray::report {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// The blocks that matter in practice, not every character of Unicode's tables.
constexpr std::array<Range, 12> zero_width{{{0x0300, 0x036F},
                                            {0x0483, 0x0489},
                                            {0x0591, 0x05BD},
                                            {0x0610, 0x061A},
                                            {0x064B, 0x065F},
                                            {0x0E34, 0x0E3A},
                                            {0x0E47, 0x0E4E},
                                            {0x1AB0, 0x1AFF},
                                            {0x1DC0, 0x1DFF},
                                            {0x200B, 0x200F},
                                            {0x20D0, 0x20FF},
                                            {0xFE00, 0xFE0F}}};
constexpr std::array<Range, 9> double_width{{{0x1100, 0x115F},
                                             {0x2E80, 0x303E},
                                             {0x3041, 0xA4CF},
                                             {0xAC00, 0xD7A3},
                                             {0xF900, 0xFAFF},
                                             {0xFE30, 0xFE6F},
                                             {0xFF00, 0xFF60},
                                             {0x1F300, 0x1FAFF},
                                             {0x20000, 0x3FFFD}}};

template <std::size_t n>
bool is_in(const std::array<Range, n>& ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [c](const Range& r) { return r.first <= c && c <= r.last; });
}

// The code point at the start of well-formed UTF-8, which is consumed.
char32_t take_code_point(std::string_view& text) {
  const auto lead = static_cast<std::uint8_t>(text[0]);
  const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t c = length == 1 ? lead : lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length && i < text.size(); ++i) {
    c = (c << 6) | (static_cast<std::uint8_t>(text[i]) & 0x3FU);
  }
  text.remove_prefix(std::min(length, text.size()));
  return c;
}

void check_size(std::size_t found, std::size_t expected) {
  if (found != expected) {
    throw Error(ErrorKind::runtime,
                {"cells of a row", {}, std::to_string(expected), std::to_string(found)});
  }
}

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const char32_t c = take_code_point(text);
    if (is_in(zero_width, c)) continue;
    width += is_in(double_width, c) ? 2 : 1;
  }
  return width;
}

Table::Table(std::vector<std::string> headings, std::vector<Align> alignment)
    : alignment_(std::move(alignment)) {
  while (alignment_.size() < headings.size()) {
    alignment_.push_back(alignment_.empty() ? Align::left : Align::right);
  }
  rows_.push_back(std::move(headings));
}

void Table::add_row(const std::vector<std::string>& cells) {
  check_size(cells.size(), rows_[0].size());
  std::vector<std::string> row;
  for (const std::string& cell : cells) row.push_back(printable(cell, 80));
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<std::size_t> widths(rows_[0].size());
  for (const auto& row : rows_) {
    for (std::size_t j = 0; j < row.size(); ++j) {
      widths[j] = std::max(widths[j], display_width(row[j]));
    }
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t j = 0; j < row.size(); ++j) {
      const std::string padding(widths[j] - display_width(row[j]), ' ');
      if (j > 0) line += "  ";
      line += alignment_[j] == Align::left ? row[j] + padding : padding + row[j];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

std::string Table::html(std::string_view caption) const {
  std::vector<HtmlTable::Column> columns;
  for (std::size_t j = 0; j < rows_[0].size(); ++j) {
    columns.push_back({rows_[0][j], alignment_[j] == Align::right});
  }
  HtmlTable table(caption, std::move(columns));
  for (std::size_t i = 1; i < rows_.size(); ++i) {
    std::vector<std::string> cells;
    for (const std::string& cell : rows_[i]) cells.push_back(html_escaped(cell));
    table.add_row(cells);
  }
  return table.html();
}

void Tsv::add_row(const std::vector<std::string>& cells) {
  check_size(cells.size(), n_columns_);
  add(cells);
}

void Tsv::add(const std::vector<std::string>& cells) {
  for (std::size_t j = 0; j < cells.size(); ++j) {
    if (j > 0) text_ += '\t';
    for (const char c : cells[j]) {
      switch (c) {
        case '\t':
          text_ += "\\t";
          break;
        case '\n':
          text_ += "\\n";
          break;
        case '\r':
          text_ += "\\r";
          break;
        case '\\':
          text_ += "\\\\";
          break;
        default:
          text_ += c;
      }
    }
  }
  text_ += '\n';
}

}  // namespace moexray::report
