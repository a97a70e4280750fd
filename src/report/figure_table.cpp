#include "figure_table.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "moexray/report/document.h"
#include "moexray/report/html_table.h"
#include "moexray/report/number.h"
#include "moexray/report/svg.h"

namespace moexray::report {
namespace {

std::string name_cell(std::string_view text) { return html_escaped(one_line(text, 256)); }

std::string or_value(const std::string& title) { return title.empty() ? "value" : title; }

struct TableOf {
  const std::string& caption;

  std::string operator()(const Heatmap& chart) const {
    if (chart.values.size() > max_svg_cells) return {};
    const std::size_t n_cols = chart.column_labels.size();
    std::vector<HtmlTable::Column> columns{{chart.row_title}};
    for (const std::string& label : chart.column_labels) {
      columns.push_back({one_line(label, 256), true});
    }
    HtmlTable table(caption, std::move(columns));
    for (std::size_t row = 0; row < chart.row_labels.size(); ++row) {
      std::vector<std::string> cells{name_cell(chart.row_labels[row])};
      for (std::size_t col = 0; col < n_cols; ++col) {
        cells.push_back(fixed(chart.values[row * n_cols + col], chart.n_decimals + 2));
      }
      table.add_row(cells);
    }
    return table.html();
  }

  std::string operator()(const BarChart& chart) const {
    const bool has_ends = !chart.lows.empty();
    const bool has_errors = !chart.errors.empty();
    std::vector<HtmlTable::Column> columns{{"bar"}, {or_value(chart.value_title), true}};
    if (has_ends) columns.insert(columns.end(), {{"from", true}, {"to", true}});
    if (has_errors) columns.push_back({"±", true});
    HtmlTable table(caption, std::move(columns));
    for (std::size_t i = 0; i < chart.values.size(); ++i) {
      std::vector<std::string> cells{name_cell(chart.labels[i]), fixed(chart.values[i], 4)};
      if (has_ends) cells.insert(cells.end(), {fixed(chart.lows[i], 4), fixed(chart.highs[i], 4)});
      if (has_errors) cells.push_back(fixed(chart.errors[i], 4));
      table.add_row(cells);
    }
    return table.html();
  }

  std::string operator()(const LineChart& chart) const {
    const bool has_ends = !chart.lows.empty();
    std::vector<HtmlTable::Column> columns{{chart.x_title, true},
                                           {or_value(chart.value_title), true}};
    if (has_ends) columns.insert(columns.end(), {{"from", true}, {"to", true}});
    HtmlTable table(caption, std::move(columns));
    for (std::size_t i = 0; i < std::min(chart.values.size(), max_figure_table_rows); ++i) {
      std::vector<std::string> cells{std::to_string(i), fixed(chart.values[i], 4)};
      if (has_ends) cells.insert(cells.end(), {fixed(chart.lows[i], 4), fixed(chart.highs[i], 4)});
      table.add_row(cells);
    }
    return table.html();
  }

  std::string operator()(const Distribution& chart) const {
    if (chart.series.empty()) return {};
    std::vector<HtmlTable::Column> columns{{or_value(chart.value_title) + " from", true}};
    for (const Distribution::Series& series : chart.series) {
      columns.push_back({one_line(series.name, 256), true});
    }
    HtmlTable table(caption, std::move(columns));
    const std::size_t n_bins = chart.n_bins();
    const double bin = (chart.high - chart.low) / static_cast<double>(n_bins);
    for (std::size_t i = 0; i < n_bins; ++i) {
      std::vector<std::string> cells{fixed(chart.low + bin * static_cast<double>(i), 3)};
      for (const Distribution::Series& series : chart.series) {
        cells.push_back(series.shares.empty() ? "" : fixed(series.shares[i], 4));
      }
      table.add_row(cells);
    }
    return table.html();
  }

  std::string operator()(const ScatterPlot& chart) const {
    HtmlTable table(caption,
                    {{"id"}, {"group"}, {"x", true}, {"y", true}, {"text", false, "text"}});
    for (std::size_t i = 0; i < std::min(chart.points.size(), max_figure_table_rows); ++i) {
      const ScatterPlot::Point& point = chart.points[i];
      table.add_row({name_cell(point.label),
                     name_cell(chart.groups.at(static_cast<std::size_t>(point.group))),
                     fixed(point.x, 4), fixed(point.y, 4),
                     html_escaped(one_line(point.text, 200))});
    }
    return table.html();
  }
};

}  // namespace

std::string figure_table(const Figure& figure) {
  return std::visit(TableOf{figure.title}, figure.chart);
}

}  // namespace moexray::report
