#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <variant>
#include <vector>

namespace moexray::report {

// What is to be drawn, as data. Keys name the columns of a figure's table (see plot_data).

/// A value that is pointed out on an axis or a colour scale: chance, say.
struct Reference {
  double value = NAN;  ///< NaN: none
  std::string name;
};

/// How the values of a heatmap become colours. Fixed anchors show a small difference as small, and
/// let figures of different data be compared.
struct ColourScale {
  enum class Kind {
    sequential,  ///< from dark blue to yellow
    diverging    ///< blue below the middle, nearly white there, orange above
  };
  Kind kind = Kind::sequential;
  /// The values of both ends, whose colours what lies beyond them has too. NaN: the smallest and
  /// the largest value; diverging: the largest distance from 0 (logarithmic: from 1), both ways.
  double low = NAN;
  double high = NAN;
  bool logarithmic = false;  ///< equal ratios are equal steps; 0 and less lie at the low end
  Reference reference = {};  ///< marked on the scale
};

/// A matrix as coloured cells.
struct Heatmap {
  std::vector<std::string> row_labels;     ///< [rows], first row on top
  std::vector<std::string> column_labels;  ///< [cols]
  std::vector<double> values;              ///< [rows · cols] row by row; NaN: an empty cell
  std::string row_title = {};
  std::string column_title = {};
  std::string value_title = {};  ///< of the colour scale
  bool show_values = false;      ///< prints every value in its cell, where there is room
  int n_decimals = 2;
  /// Consecutive rows (and, if rows and columns have the same labels, columns) that belong
  /// together, by size: lines separate them and their names stand in place of the labels. Empty:
  /// every row has its label.
  std::vector<std::string> group_names = {};
  std::vector<int> group_sizes = {};
  /// Shown behind the label when the pointer rests on a cell of the row or column: a prompt's text,
  /// say. [rows], [cols], or empty.
  std::vector<std::string> row_texts = {};
  std::vector<std::string> column_texts = {};
  ColourScale scale = {};
  /// [rows · cols] printed in place of the values, or empty.
  std::vector<std::string> cell_texts = {};
  std::string empty_title = "not defined";  ///< what an empty cell means
  std::string row_key = "row";
  std::string column_key = "column";
  std::string value_key = "value";
};

/// Named values as bars from 0, with error bars or intervals.
struct BarChart {
  std::vector<std::string> labels;  ///< [n]
  std::vector<double> values;       ///< [n]
  std::vector<double> errors = {};  ///< [n] half lengths; NaN: none. Empty: `lows` and `highs`
  std::string value_title = {};
  std::string error_title = {};            ///< what the error bars show
  std::vector<double> lows = {};           ///< [n] ends of intervals; NaN: none. Empty: `errors`
  std::vector<double> highs = {};          ///< [n]
  std::vector<Reference> references = {};  ///< lines across the bars
  std::string label_key = "label";
  std::string value_key = "value";
  std::string error_key = "error";
};

/// A value for each of 0, 1, 2, …
struct LineChart {
  std::vector<double> values;  ///< [n]; NaN leaves a gap
  std::string x_title = {};
  std::string value_title = {};
  int marked = -1;  ///< index of the value to ring, −1: none
  std::string mark_label = {};
  std::vector<double> lows = {};    ///< [n] ends of intervals; NaN: none. Empty: no intervals
  std::vector<double> highs = {};   ///< [n]
  std::string interval_title = {};  ///< what the intervals are
  double null_limit = NAN;          ///< what chance reaches: a band between ± it; NaN: none
  std::string null_title = {};
  std::string x_key = "x";
  std::string value_key = "value";
  std::vector<double> tested = {};  ///< [n] what was tested in place of `values`; empty: these
  std::string tested_title = {};
};

/// Points in the plane, told apart by the colour and the marker of their group.
struct ScatterPlot {
  struct Point {
    double x = 0;
    double y = 0;
    int group = 0;          ///< into `groups`
    std::string label;      ///< the prompt's id
    std::string text = {};  ///< shown when the pointer rests on it
  };
  std::vector<Point> points;
  std::vector<std::string> groups;
  std::string x_title = {};
  std::string y_title = {};
  /// False: the numbers of the axes mean nothing, and none is drawn; both have the same unit.
  bool has_axes = true;
  std::string x_key = "x";
  std::string y_key = "y";
};

/// How values of several kinds are distributed: shares by bins of equal width.
struct Distribution {
  struct Series {
    std::string name;
    std::vector<double> shares;  ///< [bins] of the series' values; empty: there are none
  };
  double low = 0;   ///< where the first bin begins
  double high = 1;  ///< where the last one ends
  std::vector<Series> series;
  std::vector<Reference> references = {};  ///< lines at values
  std::string value_title = {};
  std::string share_title = {};
  std::string series_key = "series";
  std::string value_key = "value";

  std::size_t n_bins() const {
    std::size_t n = 0;
    for (const Series& one : series) n = std::max(n, one.shares.size());
    return n;
  }
};

/// What is to be drawn, as files for print or on the page of the report.
struct Figure {
  std::string name;     ///< of its files, without suffix: "fig3_layers"
  std::string title;    ///< one line
  std::string caption;  ///< what is shown and how to read it, a sentence or two
  std::variant<Heatmap, BarChart, LineChart, ScatterPlot, Distribution> chart;
  std::string note = {};  ///< drawn below the chart: what a reader of the drawing alone must know
};

}  // namespace moexray::report
