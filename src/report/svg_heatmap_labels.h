#pragma once

#include <string>
#include <vector>

#include "svg_canvas.h"

namespace moexray::report::svg_parts {

/// The labels along one side of a heatmap. Names are all drawn, side by side where they fit and
/// upright otherwise; of a sequence of numbers as many as there is room for.
class AxisLabels {
 public:
  /// A label a cell.
  static AxisLabels of_cells(const std::vector<std::string>& labels);
  /// A name for each group of consecutive cells, in its middle.
  static AxisLabels of_groups(const std::vector<std::string>& names, const std::vector<int>& sizes);

  /// "0", "1", "2", …: positions, of which some can go without a label.
  bool is_sequence() const { return is_sequence_; }
  double widest() const { return widest_; }
  /// How large a cell must be for the labels to stand side by side, upright if need be.
  double smallest_cell() const;

  /// Labels that end left of `x`, the first cell beginning at `top`.
  void draw_rows(Canvas& canvas, double x, double top, double cell) const;
  /// Labels below `y`. @return where they end
  double draw_columns(Canvas& canvas, double left, double y, double cell) const;

 private:
  AxisLabels(const std::vector<std::string>& texts, bool is_sequence);
  const char* classes() const;
  double gap() const { return 1.08 * size_; }
  std::size_t step(double label, double cell) const;
  bool fit_flat(double cell) const;

  std::vector<std::string> texts_;
  std::vector<double> middles_;  // in cells
  std::vector<double> rooms_;    // in cells
  double n_cells_ = 0;
  bool is_sequence_;
  bool is_grouped_ = false;
  double size_;
  double widest_ = 0;
};

}  // namespace moexray::report::svg_parts
