#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "moexray/report/table.h"

namespace moexray::report {

/// Lays a table out as text of a given width.
class TableLayout {
 public:
  using Row = std::vector<std::string>;

  /// @param rows the headings first; all as long as `alignment`
  TableLayout(std::vector<Row> rows, std::vector<Table::Align> alignment)
      : rows_(std::move(rows)), alignment_(std::move(alignment)) {}

  std::string whole_in;    ///< see Table::whole_in
  bool is_square = false;  ///< see Table::square

  /// See Table::text. The table is used up.
  std::string text(std::size_t width);

 private:
  void measure();
  std::size_t total_width() const;
  void number_columns();
  void narrow_text(std::size_t width);
  void leave_out_columns(std::size_t width);
  std::string lines() const;

  std::vector<Row> rows_;
  std::vector<Table::Align> alignment_;
  std::vector<std::size_t> widths_;
  std::size_t n_left_out_ = 0;
};

}  // namespace moexray::report
