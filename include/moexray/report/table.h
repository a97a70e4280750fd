#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace moexray::report {

/// How many terminal columns a UTF-8 text takes: combining marks none, East Asian wide characters
/// and emoji two.
std::size_t display_width(std::string_view text);

/// A table for a terminal: columns aligned, two blanks between them.
class Table {
 public:
  enum class Align { left, right };

  /// @param headings one per column; the first column is aligned left, the others right, unless
  ///        `alignment` says otherwise.
  explicit Table(std::vector<std::string> headings, std::vector<Align> alignment = {});

  /// Adds a row with as many cells as there are headings. Control characters are escaped.
  void add_row(const std::vector<std::string>& cells);
  /// Headings and rows, each line ended by a newline and free of trailing blanks.
  std::string text() const;
  /// The same as an HtmlTable, whose first column names the rows.
  std::string html(std::string_view caption = {}) const;

 private:
  std::vector<Align> alignment_;
  std::vector<std::vector<std::string>> rows_;  // the headings first
};

/// Rows of a tab-separated file with a header line. Tabs, newlines and backslashes in a cell become
/// \t, \n, \r and \\, as in MySQL's and pandas' escaped form.
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

}  // namespace moexray::report
