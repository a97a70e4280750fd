#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace moexray::report {

/// A `<table>` of a page. It has a caption, its headings say what they head (`scope`), and it lies
/// in a box that scrolls sideways where the table is wider than the page; a keyboard reaches it.
class HtmlTable {
 public:
  struct Column {
    std::string heading;         ///< plain text
    bool is_number = false;      ///< aligned right, never broken
    std::string css_class = {};  ///< of its cells, beside "n" for numbers
  };
  struct Cell {
    std::string html;
    std::string css_class = {};  ///< beside that of its column
    std::string hover = {};      ///< shown when the pointer rests on it, escaped
  };
  enum class FirstColumn { names_the_row, is_data };

  /// @param caption plain text: what the table shows; empty where the text before it says so
  HtmlTable(std::string_view caption, std::vector<Column> columns,
            FirstColumn first = FirstColumn::names_the_row);

  /// @param cells one per column
  void add_cells(const std::vector<Cell>& cells);
  /// The same for cells that are nothing but HTML.
  void add_row(const std::vector<std::string>& cells);
  /// A heading (plain text) of the rows that follow.
  void group(std::string_view title);
  std::string html() const;

 private:
  std::vector<Column> columns_;
  FirstColumn first_;
  std::string html_;
  bool in_body_ = false;
};

}  // namespace moexray::report
