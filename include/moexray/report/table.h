#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moexray/report/text_layout.h"

namespace moexray::report {

/// A table for a terminal: columns aligned, two blanks between them.
class Table {
 public:
  enum class Align { left, right };

  /// @param headings one per column; the first column is aligned left, the others right, unless
  ///        `alignment` says otherwise.
  explicit Table(std::vector<std::string> headings, std::vector<Align> alignment = {});

  /// Adds a row with as many cells as there are headings. They are shown as visible_names() does:
  /// control characters escaped, and no two that differ looking the same.
  void add_row(const std::vector<std::string>& cells);
  /// The headings but the first are those of the rows, as in a matrix: where they take too much
  /// room, columns are headed by the numbers of the rows.
  void square() { is_square_ = true; }
  /// Where the whole table is, for readers of a part: "similarity.tsv (with -o DIR)".
  void whole_in(std::string where) { whole_in_ = std::move(where); }
  /// Headings and rows, each line ended by a newline and free of trailing blanks.
  /// @param width columns that there are; 0: as many as it takes. Of what is wider first the cells
  ///        of text are folded, then columns in the middle are left out, which a last line says.
  std::string text(std::size_t width = 0) const;
  /// The same as an HtmlTable, whose first column names the rows.
  std::string html(std::string_view caption = {}) const;

 private:
  std::vector<std::vector<std::string>> shown_rows() const;

  std::vector<Align> alignment_;
  std::vector<std::vector<std::string>> rows_;  // the headings first
  std::string whole_in_;
  bool is_square_ = false;
};

/// Rows of a tab-separated file with a header line, as spreadsheets, pandas, R's read.delim and
/// Python's csv read them: a cell that holds a quote, a tab or a line's end, or that begins with
/// '#', stands in double quotes, and a quote inside them is written twice. Everything else stands
/// as it is.
class Tsv {
 public:
  explicit Tsv(const std::vector<std::string>& header) : n_columns_(header.size()) { add(header); }

  /// @param cells as many as the header has.
  void add_row(const std::vector<std::string>& cells);
  const std::string& text() const { return text_; }

 private:
  void add(const std::vector<std::string>& cells);

  std::size_t n_columns_;
  std::string text_;
};

/// The cells of a row of such a file, without its line's end. Empty if a quoted cell does not end
/// where a cell should.
std::optional<std::vector<std::string>> split_tsv_row(std::string_view row);

}  // namespace moexray::report
