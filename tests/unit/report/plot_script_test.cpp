#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "figure_cases.h"
#include "moexray/core/error.h"
#include "moexray/report/plot.h"

namespace moexray::report {
namespace {

using test::figures_named;
using test::hostile_names;

// What is left of a script without comments and without what stands between single quotes.
std::string code_of(const std::string& script) {
  std::string code;
  std::istringstream lines(script);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) {
      EXPECT_FALSE(line.ends_with('\\')) << "goes on in the next line: " << line;
      continue;
    }
    // How a quote is written: the end of a string, one that holds the quote, and a new string.
    constexpr std::string_view quote = "'.\"'\".'";
    for (std::size_t at = 0; (at = line.find(quote)) != std::string::npos;) {
      line.erase(at, quote.size());
    }
    bool is_quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '\'') {
        is_quoted = !is_quoted;
      } else if (!is_quoted && line[i] == '#') {
        break;
      } else if (!is_quoted) {
        code += line[i];
      }
    }
    EXPECT_FALSE(is_quoted) << "not closed: " << line;
    code += '\n';
  }
  return code;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

TEST(PlotData, HasAColumnForEveryPartOfAChart) {
  const Heatmap cells{{"r\t1", "r2"}, {"c1", "c2"}, {0.5, NAN, 1e-20, 3}};
  EXPECT_EQ(plot_data({"f", "", "", cells}),
            "row\tcolumn\tvalue\trow_label\tcolumn_label\n"
            "0\t0\t0.5\tr\\t1\tc1\n0\t1\tnan\tr\\t1\tc2\n1\t0\t1e-20\tr2\tc1\n1\t1\t3\tr2\tc2\n");
  const BarChart bars{{"a", "b"}, {1, INFINITY}, {0.25, NAN}};
  EXPECT_EQ(plot_data({"f", "", "", bars}),
            "index\tvalue\terror\tlabel\n0\t1\t0.25\ta\n1\tnan\tnan\tb\n");
  EXPECT_EQ(plot_data({"f", "", "", LineChart{{0.1, 0.2}}}), "x\tvalue\n0\t0.1\n1\t0.2\n");
  const ScatterPlot points{{{1, -2, 1, "p\n1"}}, {"a", "b"}};
  EXPECT_EQ(plot_data({"f", "", "", points}),
            "x\ty\tcategory_index\tid\tcategory\n1\t-2\t1\tp\\n1\tb\n");
}

TEST(PlotData, RefusesPartsThatDoNotBelongTogether) {
  const std::vector<Figure> figures = {
      {"f", "", "", Heatmap{{"a"}, {"b", "c"}, {1}}},
      {"f", "", "", Heatmap{{"a"}, {"b"}, {1}, "", "", "", false, 2, {"g"}, {2}}},
      {"f", "", "", BarChart{{"a"}, {1}, {}}},
      {"f", "", "", ScatterPlot{{{0, 0, 1, "p"}}, {"a"}}},
      {"f", "", "", ScatterPlot{{{0, 0, -1, "p"}}, {"a"}}}};
  for (std::size_t i = 0; i < figures.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_THROW(plot_data(figures[i]), Error);
    EXPECT_THROW(plot_script(figures[i]), Error);
  }
}

TEST(PlotScript, HoldsForeignNamesBetweenSingleQuotesOnly) {
  for (const Figure& figure : figures_named(hostile_names())) {
    SCOPED_TRACE(figure.name);
    const std::string script = plot_script(figure);
    const std::string code = code_of(script);
    for (const char* const part : {"`", "\"", "@", "pwned", "script", "touch", "macro", "{/"}) {
      EXPECT_EQ(code.find(part), std::string::npos) << part << " in\n" << code;
    }
    for (const char c : script) EXPECT_TRUE(c == '\n' || (c & 0xE0) != 0) << "control character";
    EXPECT_NE(script.find("`touch pwned-1`"), std::string::npos) << "but they are shown";
    // What gnuplot would interpret when it draws.
    std::istringstream lines(code);
    for (std::string line; std::getline(lines, line);) {
      const bool draws_names = line.starts_with("set label") || line.find(" labels ") != line.npos;
      if (draws_names && !line.ends_with('\\')) {
        EXPECT_NE(line.find("noenhanced"), std::string::npos) << line;
      }
    }
  }
}

TEST(PlotScript, RefusesNamesThatAreNotPlain) {
  for (const char* const name : {"", "../f", "f g", "F", "f'", "f.gp"}) {
    EXPECT_THROW(plot_script({name, "", "", LineChart{{1}}}), Error) << name;
  }
}

TEST(PlotScript, LeavesOutNamesThatWouldTouch) {
  Heatmap chart;
  for (int i = 0; i < 300; ++i) chart.row_labels.push_back("row " + std::to_string(i));
  chart.column_labels = {"a", "b"};
  chart.values.assign(600, 1.0);
  const std::string script = plot_script({"f", "", "", chart});
  EXPECT_EQ(count(script, "'row "), 60U) << "every fifth";
  EXPECT_NE(script.find("'row 295'"), std::string::npos);
  EXPECT_EQ(count(script, "'a'") + count(script, "'b'"), 2U);
}

TEST(PlotScript, NamesGroupsOnceInTheirMiddle) {
  Heatmap chart;
  for (int i = 0; i < 6; ++i) chart.row_labels.push_back("p" + std::to_string(i));
  chart.column_labels = chart.row_labels;
  chart.values.assign(36, 0.5);
  chart.group_names = {"first", "second"};
  chart.group_sizes = {4, 2};
  const std::string script = plot_script({"f", "", "", chart});
  EXPECT_EQ(count(script, "'first'"), 2U) << "beside the rows and below the columns";
  EXPECT_NE(script.find("first 1.5 right"), std::string::npos) << script;
  EXPECT_NE(script.find("set arrow from graph 0, first 3.5 to graph 1, first 3.5"),
            std::string::npos);
  EXPECT_EQ(script.find("'p0'"), std::string::npos);
}

TEST(PlotScript, ShortensLongNames) {
  const std::string name(500, 'x');
  const std::string script = plot_script({"f", "", "", BarChart{{name}, {1}, {NAN}}});
  EXPECT_EQ(script.find(std::string(40, 'x')), std::string::npos);
  EXPECT_NE(script.find("xxx…'"), std::string::npos);
  EXPECT_NE(plot_data({"f", "", "", BarChart{{name}, {1}, {NAN}}}).find(name), std::string::npos)
      << "the table has it whole";
}

TEST(PlotScript, GivesEveryGroupAPairOfColourAndMarkerOfItsOwn) {
  ScatterPlot chart;
  for (int i = 0; i < 20; ++i) {
    chart.groups.push_back("g" + std::to_string(i));
    chart.points.push_back({0, 0, i, "p"});
  }
  const std::string script = plot_script({"f", "", "", chart});
  const auto list = [&](const std::string& name) {
    const std::size_t start = script.find("array " + name + "[n_groups] = [") + name.size() + 20;
    std::istringstream items(script.substr(start, script.find(']', start) - start));
    std::vector<std::string> result;
    for (std::string item; std::getline(items, item, ',');) result.push_back(item);
    return result;
  };
  const auto colours = list("colour");
  const auto markers = list("marker");
  ASSERT_EQ(colours.size(), 20U);
  ASSERT_EQ(markers.size(), 20U);
  for (std::size_t i = 0; i < 20; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_FALSE(colours[i] == colours[j] && markers[i] == markers[j]) << i << " and " << j;
      EXPECT_TRUE(i >= 10 || markers[i] != markers[j]) << i << " and " << j;
    }
  }
}

TEST(PlotScript, DrawsLargeMatricesAsImages) {
  const auto script_of = [](std::size_t n) {
    Heatmap chart;
    chart.row_labels.assign(n, "p");
    chart.column_labels.assign(n, "p");
    chart.values.assign(n * n, 0.5);
    return plot_script({"f", "", "", chart});
  };
  EXPECT_NE(script_of(80).find("with boxxyerror"), std::string::npos);
  EXPECT_NE(script_of(101).find("with image"), std::string::npos);
}

}  // namespace
}  // namespace moexray::report
