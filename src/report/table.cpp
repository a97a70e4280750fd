#include "moexray/report/table.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/report/document.h"
#include "moexray/report/html_table.h"
#include "moexray/report/visible.h"

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

// Some readers take a row that begins with '#' for a comment, and a quote in the middle of a cell
// for the start of a quoted part.
std::string tsv_cell(const std::string& cell) {
  if (!cell.starts_with('#') && cell.find_first_of("\"\t\n\r") == std::string::npos) return cell;
  std::string quoted = "\"";
  for (const char c : cell) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
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
  rows_.push_back(cells);
}

// All cells at once, so that two that differ never look the same.
std::vector<std::vector<std::string>> Table::shown_rows() const {
  std::vector<std::string> cells;
  for (const auto& row : rows_) cells.insert(cells.end(), row.begin(), row.end());
  const std::vector<std::string> shown = visible_names(cells);
  std::vector<std::vector<std::string>> rows;
  for (auto cell = shown.begin(); cell != shown.end();) {
    const auto end = cell + static_cast<std::ptrdiff_t>(rows_[0].size());
    rows.emplace_back(cell, end);
    cell = end;
  }
  return rows;
}

std::string Table::text() const {
  const auto rows = shown_rows();
  std::vector<std::size_t> widths(rows_[0].size());
  for (const auto& row : rows) {
    for (std::size_t j = 0; j < row.size(); ++j) {
      widths[j] = std::max(widths[j], display_width(row[j]));
    }
  }
  std::string out;
  for (const auto& row : rows) {
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
  const auto rows = shown_rows();
  std::vector<HtmlTable::Column> columns;
  for (std::size_t j = 0; j < rows[0].size(); ++j) {
    columns.push_back({rows[0][j], alignment_[j] == Align::right});
  }
  HtmlTable table(caption, std::move(columns));
  for (std::size_t i = 1; i < rows.size(); ++i) {
    std::vector<std::string> cells;
    for (const std::string& cell : rows[i]) cells.push_back(html_escaped(cell));
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
    text_ += tsv_cell(cells[j]);
  }
  text_ += '\n';
}

std::optional<std::vector<std::string>> split_tsv_row(std::string_view row) {
  std::vector<std::string> cells;
  while (true) {
    std::string cell;
    if (row.starts_with('"')) {
      row.remove_prefix(1);
      for (std::size_t quote = row.find('"');; quote = row.find('"')) {
        if (quote == std::string_view::npos) return std::nullopt;
        cell += row.substr(0, quote);
        row.remove_prefix(quote + 1);
        if (!row.starts_with('"')) break;
        cell += '"';
        row.remove_prefix(1);
      }
    } else {
      cell = row.substr(0, row.find('\t'));
      row.remove_prefix(cell.size());
    }
    cells.push_back(std::move(cell));
    if (row.empty()) return cells;
    if (!row.starts_with('\t')) return std::nullopt;
    row.remove_prefix(1);
  }
}

}  // namespace moexray::report
