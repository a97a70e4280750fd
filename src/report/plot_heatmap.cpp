#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "moexray/report/number.h"
#include "plot_script.h"
#include "plot_style.h"

namespace moexray::report {
namespace {

namespace style = plot_style;

// How names stand below the columns, in degrees.
enum class Turn { none = 0, slanted = 45, upright = 90 };
constexpr double sin_45 = 0.7071;

struct Layout {
  PlotPage page;
  double cell_width = 0;
  double cell_height = 0;
  Turn turn = Turn::none;
  std::vector<AxisName> row_names;
  std::vector<AxisName> column_names;
  double value_type = 0;  // points; 0: the cells hold no numbers
  bool all_is_shown = true;
};

// The names beside an axis, at cells or in the middle of groups, and the size of what they name.
struct AxisNames {
  std::vector<AxisName> names;
  std::vector<int> n_cells;
};

AxisNames names_of(const std::vector<std::string>& labels) {
  AxisNames result;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    result.names.push_back({labels[i], static_cast<double>(i)});
    result.n_cells.push_back(1);
  }
  return result;
}

AxisNames names_of_groups(const Heatmap& chart) {
  AxisNames result;
  int first = 0;
  for (std::size_t i = 0; i < chart.group_names.size(); ++i) {
    result.names.push_back({chart.group_names[i], first + (chart.group_sizes[i] - 1) / 2.0});
    result.n_cells.push_back(chart.group_sizes[i]);
    first += chart.group_sizes[i];
  }
  return result;
}

bool is_grouped(const Heatmap& chart) { return !chart.group_names.empty(); }

bool is_square(const Heatmap& chart) {
  return chart.row_labels.size() == chart.column_labels.size();
}

double longest(const std::vector<AxisName>& names) {
  double width = 0;
  for (const AxisName& name : names) width = std::max(width, text_width(name.text, style::type));
  return width;
}

void shorten(std::vector<AxisName>& names, int n_columns, bool& all_is_shown) {
  for (AxisName& name : names) {
    std::string text = shortened(name.text, n_columns);
    if (text.size() < name.text.size()) all_is_shown = false;
    name.text = std::move(text);
  }
}

// Turns the column names so that they do not touch, and leaves some out where even that is not
// enough.
void arrange_columns(AxisNames columns, Layout& layout) {
  const auto fits = [&](std::size_t i) {
    return text_width(columns.names[i].text, style::type) + style::gap <=
           columns.n_cells[i] * layout.cell_width;
  };
  bool all_fit = true;
  double nearest = 1e9;
  for (std::size_t i = 0; i < columns.names.size(); ++i) {
    all_fit = all_fit && fits(i);
    if (i > 0) {
      nearest =
          std::min(nearest, (columns.names[i].at - columns.names[i - 1].at) * layout.cell_width);
    }
  }
  const double width = longest(columns.names);
  const bool are_short = width <= text_width("0000", style::type);
  double distance = 0;
  if (all_fit || are_short) {
    layout.turn = Turn::none;
    distance = all_fit ? 0 : width + style::gap;
  } else if (nearest * sin_45 >= style::line) {
    layout.turn = Turn::slanted;
  } else {
    layout.turn = Turn::upright;
    distance = style::line;
  }
  thin_out(columns.names, distance / layout.cell_width);
  layout.column_names = std::move(columns.names);
}

double height_of_names(const Layout& layout) {
  const double width = longest(layout.column_names);
  switch (layout.turn) {
    case Turn::slanted:
      return width * sin_45 + style::line;
    case Turn::upright:
      return width + 2 * style::gap;
    case Turn::none:
      break;
  }
  return style::line + style::gap;
}

// The type in which "0.84" fits into a cell.
double value_type(const Heatmap& chart, const Layout& layout) {
  if (!chart.show_values) return 0;
  const Range range = range_of(chart.values);
  std::size_t n_columns = 0;
  for (const double end : {range.low, range.high}) {
    n_columns = std::max(n_columns, fixed(end, chart.n_decimals).size());
  }
  const double by_width = 0.92 * layout.cell_width /
                          (static_cast<double>(n_columns) * style::column_em * style::cm_per_point);
  const double by_height = 0.7 * layout.cell_height / style::cm_per_point;
  const double points = std::min({style::small_type, by_width, by_height});
  return points < style::smallest_type ? 0 : points;
}

Layout layout_at(const Figure& figure, const Heatmap& chart, double width) {
  Layout layout;
  const int n_columns = width > style::narrow ? style::long_name : style::short_name;
  const double n_rows = std::max<double>(1, static_cast<double>(chart.row_labels.size()));
  const double n_cols = std::max<double>(1, static_cast<double>(chart.column_labels.size()));
  AxisNames rows = is_grouped(chart) ? names_of_groups(chart) : names_of(chart.row_labels);
  AxisNames columns = is_grouped(chart) && is_square(chart) ? names_of_groups(chart)
                                                            : names_of(chart.column_labels);
  shorten(rows.names, n_columns, layout.all_is_shown);
  shorten(columns.names, n_columns, layout.all_is_shown);

  PlotPage& page = layout.page;
  page.width = width;
  page.left = longest(rows.names) + 3 * style::gap + (chart.row_title.empty() ? 0 : style::line);
  // The colour scale, its numbers and its title.
  page.right = 1.75 + (chart.value_title.empty() ? 0 : style::line);
  page.top = title_height(figure, width);
  layout.cell_width = (width - page.left - page.right) / n_cols;
  arrange_columns(columns, layout);
  if (layout.turn == Turn::slanted) {
    // A slanted name reaches to the left of its column.
    const AxisName& first = layout.column_names.front();
    const double reach = text_width(first.text, style::type) * sin_45 + style::gap;
    page.left = std::max(page.left, reach - layout.cell_width / 2);
    layout.cell_width = (width - page.left - page.right) / n_cols;
  }
  layout.cell_height = is_square(chart)
                           ? layout.cell_width
                           : std::clamp(layout.cell_width, style::line, 2 * style::line);
  layout.cell_height = std::min(layout.cell_height, style::max_plot_height / n_rows);
  page.bottom = height_of_names(layout) +
                (chart.column_title.empty() ? style::gap : style::line + style::gap);
  page.height = page.bottom + n_rows * layout.cell_height + page.top;
  thin_out(rows.names, 0.85 * style::line / layout.cell_height);
  layout.row_names = std::move(rows.names);
  layout.value_type = value_type(chart, layout);
  return layout;
}

// The narrowest page on which everything is legible.
Layout layout_of(const Figure& figure, const Heatmap& chart) {
  constexpr double smallest_cell = 0.16;
  for (const double width : {style::narrow, style::medium}) {
    Layout layout = layout_at(figure, chart, width);
    const bool has_room =
        is_grouped(chart) ? width >= style::medium : layout.cell_width >= smallest_cell;
    const bool has_values = !chart.show_values || layout.value_type >= style::small_type - 1;
    if (has_room && has_values && layout.all_is_shown) return layout;
  }
  return layout_at(figure, chart, style::wide);
}

std::string names_script(const Layout& layout) {
  std::string out = "\n# Names of rows and columns\n";
  for (const AxisName& name : layout.row_names) {
    out += fmt::format("set label {} at screen (left - {}) / width, first {} right noenhanced\n",
                       single_quoted(name.text), style::gap, shortest(name.at));
  }
  const char* const turned = layout.turn == Turn::none      ? "center"
                             : layout.turn == Turn::slanted ? "right rotate by 45"
                                                            : "right rotate by 90";
  const double below = layout.turn == Turn::none ? style::gap + style::line / 2 : 1.5 * style::gap;
  for (const AxisName& name : layout.column_names) {
    out += fmt::format("set label {} at first {}, screen (bottom - {}) / height {} noenhanced\n",
                       single_quoted(name.text), shortest(name.at), fixed(below, 2), turned);
  }
  return out;
}

std::string group_lines(const Heatmap& chart) {
  std::string out;
  int first = 0;
  for (const int size : chart.group_sizes) {
    if (first > 0) {
      const std::string at = shortest(first - 0.5);
      constexpr const char* line = "nohead front linecolor rgb '#ffffff' linewidth 0.8";
      out += fmt::format("set arrow from graph 0, first {0} to graph 1, first {0} {1}\n", at, line);
      if (is_square(chart)) {
        out +=
            fmt::format("set arrow from first {0}, graph 0 to first {0}, graph 1 {1}\n", at, line);
      }
    }
    first += size;
  }
  return out;
}

std::string scale_script(const Heatmap& chart) {
  const Range range = range_of(chart.values);
  std::string colours;
  for (std::size_t i = 0; i < style::palette.size(); ++i) {
    colours += fmt::format("{}{} '{}'", i > 0 ? ", " : "", i, style::palette[i]);
  }
  std::string out = fmt::format(
      "\n# Colours\nlow = {}\nhigh = {}\nset palette defined ({})\nset cbrange [low:high]\n"
      "set colorbox user vertical origin screen (width - right + 0.25) / width, bottom / height "
      "\\\n"
      "  size screen 0.3 / width, (height - bottom - top) / height\n"
      "set cbtics font small scale 0.4\n",
      shortest(range.low), shortest(range.high), colours);
  if (!chart.value_title.empty()) {
    out += fmt::format(
        "set label {} at screen 1 - {} / width, screen (bottom + height - top) / 2 / height center "
        "rotate by 90 noenhanced\n",
        single_quoted(chart.value_title), fixed(style::line * 0.6, 2));
  }
  const bool has_gaps = std::any_of(chart.values.begin(), chart.values.end(),
                                    [](double value) { return !std::isfinite(value); });
  if (has_gaps) {
    out += fmt::format(
        "# Behind cells without a value\n"
        "set object rectangle from graph 0, 0 to graph 1, 1 behind fillcolor rgb '{}' \\\n"
        "  fillstyle solid noborder\n",
        style::empty_cell);
  }
  return out;
}

std::string plot_command(const Heatmap& chart, const Layout& layout) {
  const bool is_image = chart.values.size() > style::max_vector_cells &&
                        chart.row_labels.size() > 1 && chart.column_labels.size() > 1;
  if (is_image) return "plot data skip 1 using 2:1:3 with image";
  if (layout.value_type == 0) {
    // A little larger than the cells: no seams between them.
    return "plot data skip 1 using 2:(only($1, strcol(3))):(0.505):(0.505):3 with boxxyerror \\\n"
           "  fillcolor palette fillstyle solid noborder";
  }
  return fmt::format(
      "plot data skip 1 using 2:(only($1, strcol(3))):(0.5):(0.5):3 with boxxyerror \\\n"
      "  fillcolor palette linewidth 0.5 fillstyle solid border rgb '#ffffff', \\\n"
      "  data skip 1 using 2:1:(text(strcol(3))):(ink(strcol(3))) with labels font ',{}' \\\n"
      "  textcolor rgb variable noenhanced",
      fixed(layout.value_type, 1));
}

}  // namespace

std::string chart_script(const Figure& figure, const Heatmap& chart) {
  const Layout layout = layout_of(figure, chart);
  std::string out = script_head(figure, layout.page);
  out += axis_titles(chart.column_title, chart.row_title);
  out += names_script(layout);
  out += scale_script(chart);
  const auto end = [](std::size_t n) {
    return shortest(static_cast<double>(std::max<std::size_t>(n, 1)) - 0.5);
  };
  out += fmt::format("\nset xrange [-0.5:{}]\nset yrange [{}:-0.5]\nunset xtics\nunset ytics\n",
                     end(chart.column_labels.size()), end(chart.row_labels.size()));
  out += group_lines(chart);
  out += missing_values_script(chart.n_decimals);
  out +=
      fmt::format("ink(s) = s eq 'nan' || (s - low) / (high - low) >= {} ? 0x000000 : 0xffffff\n",
                  style::dark_text_from);
  return out + script_tail(figure, plot_command(chart, layout));
}

}  // namespace moexray::report
