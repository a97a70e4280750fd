#include <cmath>
#include <numeric>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "moexray/core/error.h"
#include "moexray/report/number.h"
#include "moexray/report/plot.h"
#include "plot_script.h"

namespace moexray::report {
namespace {

void check_size(const Figure& figure, const char* what, std::size_t found, std::size_t expected) {
  if (found != expected) {
    throw Error(ErrorKind::runtime, {std::string("number of ") + what, figure.name,
                                     std::to_string(expected), std::to_string(found)});
  }
}

void check(const Figure& figure, const Heatmap& chart) {
  const std::size_t n_rows = chart.row_labels.size();
  check_size(figure, "values", chart.values.size(), n_rows * chart.column_labels.size());
  check_size(figure, "group sizes", chart.group_sizes.size(), chart.group_names.size());
  if (chart.group_names.empty()) return;
  const int n_grouped = std::accumulate(chart.group_sizes.begin(), chart.group_sizes.end(), 0);
  check_size(figure, "rows in groups", static_cast<std::size_t>(n_grouped), n_rows);
}

void check(const Figure& figure, const BarChart& chart) {
  check_size(figure, "values", chart.values.size(), chart.labels.size());
  check_size(figure, "errors", chart.errors.size(), chart.labels.size());
}

void check(const Figure&, const LineChart&) {}

void check(const Figure& figure, const ScatterPlot& chart) {
  for (const ScatterPlot::Point& point : chart.points) {
    if (point.group < 0 || static_cast<std::size_t>(point.group) >= chart.groups.size()) {
      throw Error(ErrorKind::runtime,
                  {"group of a point", figure.name, "below " + std::to_string(chart.groups.size()),
                   std::to_string(point.group)});
    }
  }
}

// Rows as gnuplot reads them, which knows no quotes: what separates them is written \t, \n, \r, \\.
class PlotTsv {
 public:
  explicit PlotTsv(const std::vector<std::string>& header) { add_row(header); }
  void add_row(const std::vector<std::string>& cells) {
    for (std::size_t j = 0; j < cells.size(); ++j) {
      if (j > 0) text_ += '\t';
      for (const char c : cells[j]) {
        constexpr std::string_view special = "\t\n\r\\";
        const std::size_t at = special.find(c);
        text_ += at == std::string_view::npos ? std::string(1, c) : std::string{'\\', "tnr\\"[at]};
      }
    }
    text_ += '\n';
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// gnuplot reads "inf" as a number that no axis can hold.
std::string number(double value) { return shortest(std::isfinite(value) ? value : NAN); }

std::string data_of(const Heatmap& chart) {
  const std::size_t n_cols = chart.column_labels.size();
  PlotTsv tsv({"row", "column", "value", "row_label", "column_label"});
  for (std::size_t i = 0; i < chart.values.size(); ++i) {
    tsv.add_row({std::to_string(i / n_cols), std::to_string(i % n_cols), number(chart.values[i]),
                 chart.row_labels[i / n_cols], chart.column_labels[i % n_cols]});
  }
  return tsv.text();
}

std::string data_of(const BarChart& chart) {
  PlotTsv tsv({"index", "value", "error", "label"});
  for (std::size_t i = 0; i < chart.values.size(); ++i) {
    tsv.add_row(
        {std::to_string(i), number(chart.values[i]), number(chart.errors[i]), chart.labels[i]});
  }
  return tsv.text();
}

std::string data_of(const LineChart& chart) {
  PlotTsv tsv({"x", "value"});
  for (std::size_t i = 0; i < chart.values.size(); ++i) {
    tsv.add_row({std::to_string(i), number(chart.values[i])});
  }
  return tsv.text();
}

std::string data_of(const ScatterPlot& chart) {
  PlotTsv tsv({"x", "y", "category_index", "id", "category"});
  for (const ScatterPlot::Point& point : chart.points) {
    tsv.add_row({number(point.x), number(point.y), std::to_string(point.group), point.label,
                 chart.groups[static_cast<std::size_t>(point.group)]});
  }
  return tsv.text();
}

}  // namespace

void check_chart(const Figure& figure) {
  std::visit([&](const auto& chart) { check(figure, chart); }, figure.chart);
}

std::string plot_data(const Figure& figure) {
  check_chart(figure);
  return std::visit([](const auto& chart) { return data_of(chart); }, figure.chart);
}

}  // namespace moexray::report
