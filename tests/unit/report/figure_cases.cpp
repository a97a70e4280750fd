#include "figure_cases.h"

#include <cmath>

namespace moexray::test {

using report::Figure;

std::vector<std::string> hostile_names() {
  return {"`touch pwned-1`",
          "$(touch pwned-2)",
          "'; system('touch pwned-3'); '",
          "\"; system(\"touch pwned-4\"); \"",
          "\nsystem 'touch pwned-5'\n",
          "\\",
          "ends in a backslash\\",
          "# comment\\",
          "@macro %s %d 100% %%",
          "{/Bold x}_2^3 } {",
          "<script>alert(1)</script> &amp; \" '",
          "tab\tbell\a bytes \xFF\xEF\xBF\xBF",
          "'; system 'touch pwned-6' #",
          "''; system 'touch pwned-7' #",
          "a''; system 'touch pwned-8' #",
          "'''",
          "ünï 漢字 😀",
          ""};
}

std::vector<Figure> figures_named(const std::vector<std::string>& names) {
  report::Heatmap cells;
  report::BarChart bars;
  report::LineChart line;
  report::ScatterPlot points;
  report::Distribution shares;
  std::string all;
  const auto n = static_cast<int>(names.size());
  for (int i = 0; i < n; ++i) {
    const std::string& name = names[static_cast<std::size_t>(i)];
    cells.row_labels.push_back(name);
    for (int j = 0; j < n; ++j) cells.values.push_back((i * 7 + j * 3) % 11);
    bars.labels.push_back(name);
    bars.values.push_back(i - 2);
    bars.errors.push_back(0.5);
    line.values.push_back(i);
    points.groups.push_back(name);
    points.points.push_back({1.0 * i, 2.0 * i, i, name, name});
    shares.series.push_back({name, {0.25, 0.75}});
    shares.references.push_back({0.5, name});
    all += name + " ";
  }
  cells.column_labels = cells.row_labels;
  cells.row_title = cells.column_title = cells.value_title = all;
  report::Heatmap numbers = cells;
  numbers.show_values = true;
  report::Heatmap grouped = cells;
  grouped.group_names = names;
  grouped.group_sizes.assign(names.size(), 1);
  bars.value_title = bars.error_title = all;
  line.x_title = line.value_title = line.mark_label = all;
  line.marked = 0;
  points.x_title = points.y_title = all;
  shares.value_title = shares.share_title = all;
  return {{"cells", all, all, cells},     {"numbers", all, all, numbers},
          {"grouped", all, all, grouped}, {"bars", all, all, bars},
          {"line", all, all, line},       {"points", all, all, points, all},
          {"shares", all, all, shares}};
}

std::vector<Figure> figures_of_little_data() {
  const report::Heatmap one_cell{{"a"}, {"a"}, {1}, "", "", "", true};
  const report::Heatmap no_value{{"a"}, {"a"}, {NAN}, "", "", "", true};
  const report::Heatmap no_value_unprinted{{"a", "b"}, {"a"}, {NAN, NAN}};
  return {{"one_cell", "", "", one_cell},
          {"no_value", "", "", no_value},
          {"no_value_unprinted", "", "", no_value_unprinted},
          {"no_cell", "", "", report::Heatmap{}},
          {"no_bar", "", "", report::BarChart{}},
          {"one_bar", "", "", report::BarChart{{"a"}, {0}, {NAN}}},
          {"undefined_bar", "", "", report::BarChart{{"a"}, {NAN}, {NAN}}},
          {"no_line", "", "", report::LineChart{}},
          {"undefined_line", "", "", report::LineChart{{NAN, NAN}, "x", "y", 1, "peak"}},
          {"one_value", "", "", report::LineChart{{-3}, "x", "y", 0, "peak"}},
          {"no_point", "", "", report::ScatterPlot{}},
          {"one_point", "", "", report::ScatterPlot{{{1e300, 0, 0, "p"}}, {"a"}}},
          {"no_share", "", "", report::Distribution{}},
          {"undefined_point", "", "", report::ScatterPlot{{{NAN, INFINITY, 0, "p"}}, {"a"}}}};
}

}  // namespace moexray::test
