#include <cmath>
#include <numeric>
#include <string>
#include <variant>

#include "moexray/core/error.h"
#include "moexray/report/number.h"
#include "moexray/report/plot.h"
#include "moexray/report/table.h"
#include "svg_parts.h"

namespace moexray::report {
namespace {

void require_size(const char* what, std::size_t found, std::size_t expected) {
  if (found == expected) return;
  throw Error(ErrorKind::runtime, {"a figure whose parts do not fit", what,
                                   std::to_string(expected), std::to_string(found)});
}

// Of parts that may be missing.
void check_optional(const char* what, std::size_t found, std::size_t expected) {
  if (found != 0) require_size(what, found, expected);
}

void check(const Heatmap& chart) {
  const std::size_t n_rows = chart.row_labels.size();
  const std::size_t n_cols = chart.column_labels.size();
  require_size("values of a heatmap", chart.values.size(), n_rows * n_cols);
  require_size("group sizes of a heatmap", chart.group_sizes.size(), chart.group_names.size());
  check_optional("row texts", chart.row_texts.size(), n_rows);
  check_optional("column texts", chart.column_texts.size(), n_cols);
  check_optional("cell texts", chart.cell_texts.size(), chart.values.size());
  if (chart.group_sizes.empty()) return;
  const int sum = std::accumulate(chart.group_sizes.begin(), chart.group_sizes.end(), 0);
  require_size("rows in groups", static_cast<std::size_t>(sum), n_rows);
}

void check(const BarChart& chart) {
  const std::size_t n = chart.values.size();
  require_size("labels of a bar chart", chart.labels.size(), n);
  check_optional("errors of a bar chart", chart.errors.size(), n);
  check_optional("ends of a bar chart's intervals", chart.lows.size(), n);
  require_size("ends of a bar chart's intervals", chart.highs.size(), chart.lows.size());
}

void check(const LineChart& chart) {
  check_optional("ends of a line chart's intervals", chart.lows.size(), chart.values.size());
  require_size("ends of a line chart's intervals", chart.highs.size(), chart.lows.size());
}

void check(const ScatterPlot& chart) {
  for (const ScatterPlot::Point& point : chart.points) {
    if (point.group < 0 || static_cast<std::size_t>(point.group) >= chart.groups.size()) {
      throw Error(ErrorKind::runtime, "a point of a figure has a group that is not there");
    }
  }
}

void check(const Distribution& chart) {
  for (const Distribution::Series& series : chart.series) {
    check_optional("bins of a distribution", series.shares.size(), chart.n_bins());
  }
}

// Infinity is no number to the readers of tables.
std::string number(double value) { return shortest(std::isfinite(value) ? value : NAN); }

std::string data_of(const Heatmap& chart) {
  const std::size_t n_cols = chart.column_labels.size();
  Tsv tsv({chart.row_key, chart.column_key, chart.value_key});
  for (std::size_t i = 0; i < chart.values.size(); ++i) {
    tsv.add_row(
        {chart.row_labels[i / n_cols], chart.column_labels[i % n_cols], number(chart.values[i])});
  }
  return tsv.text();
}

std::string data_of(const BarChart& chart) {
  std::vector<std::string> header{chart.label_key, chart.value_key};
  if (!chart.errors.empty()) header.push_back(chart.error_key);
  if (!chart.lows.empty()) header.insert(header.end(), {"ci95_low", "ci95_high"});
  Tsv tsv(header);
  for (std::size_t i = 0; i < chart.values.size(); ++i) {
    std::vector<std::string> row{chart.labels[i], number(chart.values[i])};
    if (!chart.errors.empty()) row.push_back(number(chart.errors[i]));
    if (!chart.lows.empty()) {
      row.insert(row.end(), {number(chart.lows[i]), number(chart.highs[i])});
    }
    tsv.add_row(row);
  }
  return tsv.text();
}

std::string data_of(const LineChart& chart) {
  Tsv tsv({chart.x_key, chart.value_key, "ci95_low", "ci95_high", "tested", "null95"});
  for (std::size_t i = 0; i < chart.values.size(); ++i) {
    const bool has_interval = !chart.lows.empty();
    tsv.add_row({std::to_string(i), number(chart.values[i]),
                 number(has_interval ? chart.lows[i] : NAN),
                 number(has_interval ? chart.highs[i] : NAN),
                 number(chart.tested.empty() ? NAN : chart.tested[i]), number(chart.null_limit)});
  }
  return tsv.text();
}

std::string data_of(const ScatterPlot& chart) {
  Tsv tsv({"id", "category", chart.x_key, chart.y_key});
  for (const ScatterPlot::Point& point : chart.points) {
    tsv.add_row({point.label, chart.groups[static_cast<std::size_t>(point.group)], number(point.x),
                 number(point.y)});
  }
  return tsv.text();
}

std::string data_of(const Distribution& chart) {
  Tsv tsv({chart.series_key, chart.value_key + "_from", chart.value_key + "_to", "share"});
  for (const Distribution::Series& series : chart.series) {
    const auto n = static_cast<double>(series.shares.size());
    const auto edge = [&](std::size_t i) {
      return chart.low + (chart.high - chart.low) * static_cast<double>(i) / n;
    };
    for (std::size_t i = 0; i < series.shares.size(); ++i) {
      tsv.add_row({series.name, number(edge(i)), number(edge(i + 1)), number(series.shares[i])});
    }
  }
  return tsv.text();
}

}  // namespace

void svg_parts::check_parts(const Figure& figure) {
  std::visit([](const auto& chart) { check(chart); }, figure.chart);
}

std::string plot_data(const Figure& figure) {
  svg_parts::check_parts(figure);
  return std::visit([](const auto& chart) { return data_of(chart); }, figure.chart);
}

}  // namespace moexray::report
