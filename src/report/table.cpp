#include "moexray/report/table.h"

#include <algorithm>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/report/document.h"
#include "moexray/report/html_table.h"
#include "table_layout.h"

namespace moexray::report {
namespace {

void check_size(std::size_t found, std::size_t expected) {
  if (found != expected) {
    throw Error(ErrorKind::runtime,
                {"cells of a row", {}, std::to_string(expected), std::to_string(found)});
  }
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
  std::vector<std::string> row;
  for (const std::string& cell : cells) row.push_back(printable(cell, 80));
  rows_.push_back(std::move(row));
}

std::string Table::text(std::size_t width) const {
  TableLayout layout(rows_, alignment_);
  layout.whole_in = whole_in_;
  layout.is_square = is_square_;
  return layout.text(width);
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
