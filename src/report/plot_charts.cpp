#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "moexray/report/number.h"
#include "plot_script.h"
#include "plot_style.h"

namespace moexray::report {
namespace {

namespace style = plot_style;

constexpr double tick_labels_width = 1.0;  // room for "−0.125"
constexpr double legend_line = style::line * 1.05;
constexpr double scatter_height = 5.6;
constexpr double tick_labels_height = style::line + style::gap;

Range widened(Range range, double below, double above) {
  const double size = range.high - range.low;
  return {range.low - below * size, range.high + above * size};
}

std::string range_script(const char* axis, const Range& range) {
  return fmt::format("set {} [{}:{}]\n", axis, shortest(range.low), shortest(range.high));
}

// The space below a plot for the numbers of its axis and the axis' title.
double below_plot(const std::string& title) {
  return tick_labels_height + (title.empty() ? style::gap : style::line * 1.1);
}

// Names, colours and markers of the groups, and a legend of the first of them right of the plot.
std::string groups_script(const std::vector<std::string>& names, std::size_t n_shown) {
  std::string name_list;
  std::string colours;
  std::string markers;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const char* const comma = i > 0 ? ", " : "";
    name_list += (i > 0 ? ", \\\n  " : "") + single_quoted(names[i]);
    colours += fmt::format("{}'{}'", comma, style::colours[i % style::colours.size()]);
    markers += fmt::format("{}{}", comma, style::markers[i % style::markers.size()]);
  }
  return fmt::format(
      "\n# Groups: a colour and a marker each\nn_groups = {}\n"
      "array name[n_groups] = [ \\\n  {}]\n"
      "array colour[n_groups] = [{}]\narray marker[n_groups] = [{}]\n"
      "set for [i=1:{}] label name[i] at screen (width - right + {}) / width, \\\n"
      "  screen 1 - (top + (i - 0.5) * {}) / height left offset 0.9, 0 noenhanced \\\n"
      "  point pointtype marker[i] pointsize 0.7 linecolor rgb colour[i]\n",
      names.size(), name_list, colours, markers, n_shown, fixed(2 * style::gap, 2),
      fixed(legend_line, 2));
}

}  // namespace

// Bars that lie, so that names have room beside them; the first on top.
std::string chart_script(const Figure& figure, const BarChart& chart) {
  constexpr double bar = 0.62;  // from one bar to the next
  std::vector<AxisName> names;
  double names_width = 0;
  for (std::size_t i = 0; i < chart.labels.size(); ++i) {
    names.push_back({shortened(chart.labels[i], style::long_name - 4), static_cast<double>(i)});
    names_width = std::max(names_width, text_width(names.back().text, style::type));
  }
  const double n = std::max<double>(1, static_cast<double>(names.size()));
  const double pitch = std::min(bar, style::max_plot_height / n);
  PlotPage page;
  page.width = names_width > style::narrow / 3 ? style::medium : style::narrow;
  page.left = names_width + 3 * style::gap;
  page.right = 3 * style::gap;
  page.top = title_height(figure, page.width);
  page.bottom = tick_labels_height + style::line * (chart.value_title.empty() ? 0.5 : 1.2) +
                (chart.error_title.empty() ? 0 : style::line);
  page.height = page.bottom + n * pitch + page.top;
  thin_out(names, 0.85 * style::line / pitch);

  std::vector<double> ends{0};
  for (std::size_t i = 0; i < chart.values.size(); ++i) {
    const double error = std::isfinite(chart.errors[i]) ? chart.errors[i] : 0;
    ends.insert(ends.end(), {chart.values[i] - error, chart.values[i] + error});
  }
  Range range = range_of(ends);
  // The numbers stand right of the bars.
  const double plot_width = page.width - page.left - page.right;
  range = widened(range, range.low < 0 ? 0.03 : 0,
                  1.3 * text_width("-0.000", style::small_type) / plot_width);

  std::string out = script_head(figure, page);
  if (!chart.value_title.empty()) {
    out += fmt::format(
        "set label {} at screen (left + width - right) / 2 / width, screen (bottom - {}) / height "
        "center noenhanced\n",
        single_quoted(chart.value_title), fixed(tick_labels_height + 0.6 * style::line, 2));
  }
  if (!chart.error_title.empty()) {
    out += fmt::format(
        "set label {} at screen 0.5, screen {} / height center font small textcolor rgb '#555555' "
        "noenhanced\n",
        single_quoted("error bars: " + chart.error_title), fixed(style::line * 0.6, 2));
  }
  out += "\n# Names of the bars\n";
  for (const AxisName& name : names) {
    out += fmt::format("set label {} at screen (left - {}) / width, first {} right noenhanced\n",
                       single_quoted(name.text), style::gap, shortest(name.at));
  }
  out += "\n" + range_script("xrange", range) +
         fmt::format("set yrange [{}:-0.5]\n", shortest(n - 0.5));
  out += fmt::format(
      "unset ytics\nset border 3\nset grid xtics linecolor rgb '#dddddd' linetype 1 linewidth 0.5\n"
      "set bars 0.6\nblue = '{}'\n"
      "end(v, e) = v + e > 0 ? v + e : 0\n",
      style::colours[0]);
  out += missing_values_script(-1);
  return out +
         script_tail(
             figure,
             "plot data skip 1 using ($2 / 2):(only($1, strcol(2))):($2 / 2):(0.32) \\\n"
             "  with boxxyerror linecolor rgb blue fillstyle solid 0.55 border, \\\n"
             "  data skip 1 using 2:(only($1, strcol(3))):3 with xerrorbars pointtype -1 \\\n"
             "  linecolor rgb '#000000' linewidth 1, \\\n"
             "  data skip 1 using (end(number(strcol(2)), number(strcol(3)))):1:(text(strcol(2))) "
             "\\\n  with labels left offset 0.6, 0 font small noenhanced");
}

std::string chart_script(const Figure& figure, const LineChart& chart) {
  PlotPage page;
  page.width = chart.values.size() > 60 ? style::wide : style::narrow;
  page.left = tick_labels_width + (chart.value_title.empty() ? 0 : style::line);
  page.right = 3 * style::gap;
  page.top = title_height(figure, page.width);
  page.bottom = below_plot(chart.x_title);
  page.height = page.bottom + 4.6 + page.top;
  const int n = std::max(1, static_cast<int>(chart.values.size()));
  const Range range = range_of(chart.values);
  const double per_number = 0.5 * n / (page.width - page.left - page.right);

  std::string out = script_head(figure, page) + axis_titles(chart.x_title, chart.value_title);
  out += "\n" + range_script("xrange", {-0.5, n - 0.5}) +
         range_script("yrange", widened(range, 0.08, chart.marked >= 0 ? 0.2 : 0.08));
  out += fmt::format(
      "set xtics 0, {}\nset grid ytics linecolor rgb '#dddddd' linetype 1 linewidth 0.5\n"
      "set border 3\nblue = '{}'\norange = '{}'\n",
      round_step(per_number), style::colours[0], style::colours[1]);
  if (range.low < 0 && range.high > 0) {
    out += "set arrow from graph 0, first 0 to graph 1, first 0 nohead back linewidth 0.5\n";
  }
  std::string command =
      "plot data skip 1 using 1:2 with linespoints pointtype 7 pointsize 0.5 linewidth 1.5 \\\n"
      "  linecolor rgb blue";
  const bool is_marked = chart.marked >= 0 && chart.marked < n && !chart.values.empty() &&
                         std::isfinite(chart.values[static_cast<std::size_t>(chart.marked)]);
  if (is_marked) {
    command += fmt::format(
        ", \\\n  data skip 1 using ($1 == {} ? $1 : NaN):2 with points pointtype 6 pointsize 1.1 "
        "\\\n  linewidth 1.5 linecolor rgb orange",
        chart.marked);
    // Above all points, and towards the middle, so that a long label stays inside.
    const double share = (chart.marked + 0.5) / n;
    out += fmt::format("set label {} at first {}, graph 0.95 {} textcolor rgb orange noenhanced\n",
                       single_quoted(chart.mark_label), chart.marked,
                       share < 0.35   ? "left"
                       : share > 0.65 ? "right"
                                      : "center");
  }
  return out + script_tail(figure, command);
}

std::string chart_script(const Figure& figure, const ScatterPlot& chart) {
  std::vector<std::string> names;
  double names_width = 0;
  for (const std::string& group : chart.groups) {
    names.push_back(shortened(group, style::long_name));
    names_width = std::max(names_width, text_width(names.back(), style::type));
  }
  // As many of them as the longest page has lines.
  const auto n_shown =
      std::min(names.size(), static_cast<std::size_t>(style::max_plot_height / legend_line));
  PlotPage page;
  page.left = tick_labels_width + (chart.y_title.empty() ? 0 : style::line);
  page.right = names_width + 5 * style::gap;
  page.width = std::max(style::narrow, page.left + 0.8 * scatter_height + page.right);
  page.top = title_height(figure, page.width);
  page.bottom = below_plot(chart.x_title);
  page.height =
      page.bottom + std::max(scatter_height, static_cast<double>(n_shown) * legend_line) + page.top;

  std::vector<double> x;
  std::vector<double> y;
  for (const ScatterPlot::Point& point : chart.points) {
    x.push_back(point.x);
    y.push_back(point.y);
  }
  std::string out = script_head(figure, page) + axis_titles(chart.x_title, chart.y_title);
  out += "\n" + range_script("xrange", widened(range_of(x), 0.05, 0.05)) +
         range_script("yrange", widened(range_of(y), 0.05, 0.05));
  if (chart.points.empty()) return out + script_tail(figure, "plot NaN");
  out += groups_script(names, n_shown);
  const std::size_t n = chart.points.size();
  const double point_size = n <= 200 ? 0.6 : n <= 2000 ? 0.4 : 0.25;
  out += fmt::format("point_size = {}\n", point_size);
  return out +
         script_tail(
             figure,
             "plot for [i=1:n_groups] data skip 1 using ($3 == i - 1 ? $1 : NaN):2 \\\n"
             "  with points pointtype marker[i] pointsize point_size linecolor rgb colour[i]");
}

}  // namespace moexray::report
