#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/report/figure.h"

// The parts that the scripts of all charts share.
namespace moexray::report {

/// The page and the margins around the plot, in cm.
struct PlotPage {
  double width = 0;
  double height = 0;
  double left = 0;
  double right = 0;
  double bottom = 0;
  double top = 0;
};

/// A gnuplot expression for `text`: between single quotes, where gnuplot leaves it alone, joined by
/// a constant for every single quote in it. Control characters, bytes that are not UTF-8 and the
/// two characters that XML forbids are escaped.
std::string single_quoted(std::string_view text);
/// At most this many terminal columns of what single_quoted() shows of `text`, then "…".
std::string shortened(std::string_view text, int n_columns);
/// An estimate for a wide typeface, in cm.
double text_width(std::string_view text, double points);
/// `text` broken at blanks into lines of at most this many columns (a longer word stands alone).
std::vector<std::string> wrapped(std::string_view text, int n_columns);

/// A name beside an axis.
struct AxisName {
  std::string text;
  double at = 0;  ///< in units of the axis
};
/// Leaves out names that would come closer than `distance` to the one before; of names at 0, 1, 2,
/// … it keeps every second, fifth, tenth and so on.
void thin_out(std::vector<AxisName>& names, double distance);

/// 1, 2, 5, 10, …: the first that is at least `least`.
int round_step(double least);

/// The space that the figure's title takes above the plot.
double title_height(const Figure& figure, double page_width);
/// `set label` for a title at both axes, where there is one.
std::string axis_titles(const std::string& x_title, const std::string& y_title);
/// `[low : high]` of the finite values, widened where it is empty; {0, 1} without any.
struct Range {
  double low = 0;
  double high = 1;
};
Range range_of(const std::vector<double>& values);

/// @throws Error (runtime) if the sizes of the chart's parts do not belong together.
void check_chart(const Figure& figure);

/// What all scripts begin with: what it is, sizes and margins, title.
std::string script_head(const Figure& figure, const PlotPage& page);
/// gnuplot functions of a column's text: only(x, s), number(s) and text(s), the latter with this
/// many decimals, or with three significant digits if negative.
std::string missing_values_script(int n_decimals);
/// The plot command, drawn to the three files.
std::string script_tail(const Figure& figure, const std::string& plot_command);

std::string chart_script(const Figure& figure, const Heatmap& chart);
std::string chart_script(const Figure& figure, const BarChart& chart);
std::string chart_script(const Figure& figure, const LineChart& chart);
std::string chart_script(const Figure& figure, const ScatterPlot& chart);

}  // namespace moexray::report
