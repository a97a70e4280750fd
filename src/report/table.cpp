#include "moexray/report/table.h"

#include <algorithm>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/report/document.h"
#include "moexray/report/html_table.h"
#include "moexray/report/visible.h"
#include "table_layout.h"

namespace moexray::report {
namespace {

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

std::string Table::text(std::size_t width) const {
  const auto rows = shown_rows();
  TableLayout layout(rows, alignment_);
  layout.whole_in = whole_in_;
  layout.is_square = is_square_;
  return layout.text(width);
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
