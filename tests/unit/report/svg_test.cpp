#include "moexray/report/svg.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "moexray/core/error.h"
#include "support/markup.h"

namespace moexray::report {
namespace {

using test::count_of;
using test::markup_fault;

const double nan_value = std::nan("");
const std::string hostile = "</title><script>alert(\"1\")</script>&'\x1b[31m\xff\u202e\uffff";

bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

Figure figure_of(std::variant<Heatmap, BarChart, LineChart, ScatterPlot, Distribution> chart) {
  return {"fig", "A title", "A caption.", std::move(chart)};
}

Heatmap category_map() {
  Heatmap map{{"code", "math"}, {"code", "math"}, {0.9, 0.25, 0.5, nan_value}};
  map.value_title = "mean similarity";
  map.show_values = true;
  return map;
}

TEST(MarkupFault, SeesWhatIsWrong) {
  EXPECT_EQ(markup_fault("<a b=\"c\">x &amp; y<br></a>"), "");
  for (const char* wrong : {"<a>", "<a></b>", "a & b", "<a b=c/>", "1 > 0", "<a b=\"<\"/>"}) {
    EXPECT_NE(markup_fault(wrong), "") << wrong;
  }
}

TEST(Svg, HeatmapShowsValuesAndHoverTexts) {
  Heatmap map = category_map();
  map.row_texts = {"sort a\nlist", "add"};
  map.column_texts = map.row_texts;
  const std::string text = svg(figure_of(map));
  EXPECT_EQ(markup_fault(text), "");
  EXPECT_TRUE(holds(text, "aria-label=\"A title\""));
  // The largest value is yellow with dark text, the smallest dark blue with light text.
  EXPECT_TRUE(holds(text,
                    "fill=\"#fde725\"><title>code × code\nmean similarity: 0.9000\n"
                    "sort a list</title>"))
      << text;
  EXPECT_TRUE(holds(text,
                    "fill=\"#440154\"><title>code × math\nmean similarity: 0.2500\n"
                    "sort a list\nadd</title>"));
  EXPECT_EQ(count_of(text, "class=\"none\""), 2U) << "the cell and its explanation";
  EXPECT_TRUE(holds(text, "<title>math × math\nmean similarity: n/a"));
  EXPECT_TRUE(holds(text, "mid small on-light\""));
  EXPECT_TRUE(holds(text, ">0.90</text>"));
  EXPECT_EQ(count_of(text, "<title>"), 4U);
}

// The colour of the cell whose hover text says that it has this value.
std::string colour_of(const std::string& text, const std::string& value) {
  const std::size_t at = text.find(": " + value + "</title>");
  return text.substr(text.rfind("fill=\"", at) + 6, 7);
}

TEST(Svg, HeatmapHasFixedAnchorsAndADivergingScale) {
  Heatmap map{{"a"}, {"p", "q", "r", "s", "t"}, {-9, -3, 0, 1.5, 3}};
  map.scale = {ColourScale::Kind::diverging, -3, 3};
  std::string text = svg(figure_of(map));
  EXPECT_EQ(colour_of(text, "-9.0000"), colour_of(text, "-3.0000")) << "beyond the end";
  EXPECT_EQ(colour_of(text, "0.0000"), "#f6f6f6");
  EXPECT_EQ(colour_of(text, "3.0000"), "#6a2400");
  EXPECT_EQ(colour_of(text, "1.5000"), "#e27f38");
  map.values = {0, 0.125, 1, 2, 8};
  map.scale.logarithmic = true;
  map.scale.low = NAN;  // as far below 1 as the largest value is above
  map.scale.high = NAN;
  text = svg(figure_of(map));
  EXPECT_EQ(colour_of(text, "0.0000"), colour_of(text, "0.1250"));
  EXPECT_EQ(colour_of(text, "1.0000"), "#f6f6f6");
  EXPECT_EQ(colour_of(text, "8.0000"), "#6a2400");
}

TEST(Svg, HeatmapOfGroupsNamesThemOnce) {
  Heatmap map{{"a1", "a2", "b1"}, {"a1", "a2", "b1"}, {1, 0.5, 0, 0.5, 1, 0, 0, 0, 1}};
  map.group_names = {"alpha", "beta"};
  map.group_sizes = {2, 1};
  const std::string text = svg(figure_of(map));
  EXPECT_EQ(markup_fault(text), "");
  EXPECT_EQ(count_of(text, ">alpha</text>"), 2U);  // beside the rows and below the columns
  EXPECT_EQ(count_of(text, ">a1</text>"), 0U);
  EXPECT_TRUE(holds(text, "a2 (alpha) × b1 (beta)"));
  EXPECT_EQ(count_of(text, "class=\"split\""), 2U);
}

TEST(Svg, GroupsOfRowsAreNoGroupsOfOtherColumns) {
  // As many columns as rows, of other things.
  Heatmap map{{"a1", "a2", "b1"}, {"0", "1", "2"}, {1, 0.5, 0, 0.5, 1, 0, 0, 0, 1}};
  map.group_names = {"alpha", "beta"};
  map.group_sizes = {2, 1};
  const std::string text = svg(figure_of(map));
  EXPECT_EQ(count_of(text, ">alpha</text>"), 1U);
  EXPECT_EQ(count_of(text, ">1</text>"), 1U);
}

TEST(Svg, HeatmapOfManyColumnsLabelsSomeOfThem) {
  Heatmap map;
  for (int layer = 0; layer < 16; ++layer) map.row_labels.push_back(std::to_string(layer));
  for (int expert = 0; expert < 64; ++expert) map.column_labels.push_back(std::to_string(expert));
  map.values.assign(16 * 64, 0.0);
  map.values[5] = 3;
  map.row_title = "layer";
  map.column_title = "expert";
  const std::string text = svg(figure_of(map));
  EXPECT_EQ(markup_fault(text), "");
  EXPECT_TRUE(holds(text, "layer 0 × expert 5"));
  EXPECT_EQ(count_of(text, "<title>"), 16U * 64U);
  EXPECT_LT(count_of(text, "<text"), 50U);
}

TEST(Svg, BarChartHasAnErrorBarWhereOneIsGiven) {
  BarChart chart{{"across", "load balance", "within"}, {0.6, 0.8, 0.84}, {0.1, nan_value, 0.05}};
  chart.value_title = "similarity";
  chart.error_title = "standard deviation over pairs";
  const std::string text = svg(figure_of(chart));
  EXPECT_EQ(markup_fault(text), "");
  EXPECT_EQ(count_of(text, "class=\"error\""), 2U);
  EXPECT_TRUE(holds(text, "across: 0.6000 ± 0.1000\nstandard deviation over pairs"));
  EXPECT_TRUE(holds(text, ">Error bars: standard deviation over pairs</text>"));
  EXPECT_TRUE(holds(text, "<title>load balance: 0.8000</title>"));
  EXPECT_TRUE(holds(text, ">0.840</text>"));
}

TEST(Svg, BarChartWithoutErrorBarsDoesNotSayWhatTheyShow) {
  BarChart chart{{"across", "within"}, {0.6, 0.8}, {nan_value, 0}};
  chart.error_title = "standard deviation over pairs";
  const std::string text = svg(figure_of(chart));
  EXPECT_EQ(count_of(text, "class=\"error\""), 0U);
  EXPECT_FALSE(holds(text, "Error bars"));
}

// Where a bar begins, and its length.
std::pair<double, double> bar_of(const std::string& text, const std::string& name) {
  const std::size_t title = text.find("<title>" + name + ":");
  const std::size_t rect = text.rfind("<rect", title);
  const auto value = [&](const char* key) {
    return std::stod(text.substr(text.find(key, rect) + std::string(key).size()));
  };
  return {value(" x=\""), value(" width=\"")};
}

TEST(Svg, BarsStandOnZeroAndHaveTheirLength) {
  const std::string text =
      svg(figure_of(BarChart{{"a", "b", "c"}, {1, 2, -1}, {nan_value, nan_value, nan_value}}));
  const auto [a_from, a_length] = bar_of(text, "a");
  const auto [b_from, b_length] = bar_of(text, "b");
  const auto [c_from, c_length] = bar_of(text, "c");
  EXPECT_NEAR(b_length, 2 * a_length, 0.03);
  EXPECT_NEAR(c_length, a_length, 0.03);
  EXPECT_NEAR(a_from, b_from, 0.03);
  EXPECT_NEAR(c_from + c_length, a_from, 0.03);
}

// Where a text stands: the value of `key` ("x") of the element that holds it.
double place_of(const std::string& text, const std::string& content, const std::string& key) {
  const std::size_t at = text.find(">" + content + "</text>");
  EXPECT_NE(at, std::string::npos) << content;
  if (at == std::string::npos) return NAN;
  const std::size_t element = text.rfind("<text", at);
  return std::stod(text.substr(text.find(" " + key + "=\"", element) + key.size() + 3));
}

TEST(Svg, NumbersOfAnAxisStandAtTheirTicksFromZero) {
  BarChart chart{{"a", "b"}, {0.25, 0.95}, {}, "accuracy"};
  chart.lows = {0.2, nan_value};
  chart.highs = {0.4, nan_value};
  chart.references = {{0.5, "chance"}};
  const std::string text = svg(figure_of(chart));
  EXPECT_EQ(markup_fault(text), "");
  const auto [from, length] = bar_of(text, "b");
  for (const char* const tick : {"0.0", "0.2", "0.4", "0.6", "0.8"}) {
    EXPECT_NEAR(place_of(text, tick, "x"), from + std::stod(tick) / 0.95 * length, 0.05);
  }
  EXPECT_TRUE(holds(text, "<title>a: 0.2500 (0.2000 to 0.4000)</title>"));
  EXPECT_EQ(count_of(text, "class=\"error\""), 1U);
  EXPECT_TRUE(holds(text, ">chance: 0.500</text>"));
  EXPECT_EQ(count_of(text, "class=\"reference\""), 2U) << "the line and its explanation";
}

TEST(Svg, NegativeNumbersHaveATrueMinusSign) {
  const std::string text = svg(figure_of(BarChart{{"a"}, {-1.5}, {}}));
  EXPECT_TRUE(holds(text, ">−1.500</text>"));
  EXPECT_TRUE(holds(text, ">−1.0</text>"));
  EXPECT_FALSE(holds(text, ">-"));
}

TEST(Svg, LineChartBreaksAtUndefinedValues) {
  LineChart chart{{0.5, nan_value, 1.5, 1.0}};
  chart.x_title = "layer";
  chart.value_title = "Cohen's d";
  chart.marked = 2;
  chart.mark_label = "peak: layer 2";
  const std::string text = svg(figure_of(chart));
  EXPECT_EQ(markup_fault(text), "");
  const std::size_t trend = text.find("class=\"trend\"");
  const std::string path = text.substr(trend, text.find("/>", trend) - trend);
  EXPECT_EQ(count_of(path, "M"), 2U);
  EXPECT_EQ(count_of(path, "L"), 1U);
  EXPECT_TRUE(holds(text, "<title>layer 2\nCohen&#39;s d: 1.5000\npeak: layer 2</title>"));
  EXPECT_EQ(count_of(text, "<title>"), 3U);
  EXPECT_EQ(count_of(text, "class=\"ring\""), 2U) << "the value and its explanation";
  EXPECT_TRUE(holds(text, ">peak: layer 2</text>"));
}

TEST(Svg, LineChartShowsIntervalsAndWhatChanceReaches) {
  LineChart chart{{0.5, 1.5}};
  chart.value_title = "d";
  chart.lows = {0.2, nan_value};
  chart.highs = {0.9, nan_value};
  chart.interval_title = "95% interval";
  chart.null_limit = 0.75;
  chart.null_title = "no layer differs";
  const std::string text = svg(figure_of(chart));
  EXPECT_EQ(markup_fault(text), "");
  EXPECT_EQ(count_of(text, "class=\"error\""), 2U) << "one interval and its explanation";
  EXPECT_EQ(count_of(text, "class=\"band\""), 2U);
  EXPECT_TRUE(holds(text, "d: 0.5000 (0.2000 to 0.9000)"));
  EXPECT_EQ(count_of(text, "class=\"ring\""), 0U) << "nothing is marked";
  EXPECT_NEAR(place_of(text, "0.0", "y") - 4 - (place_of(text, "0.5", "y") - 4),
              place_of(text, "0.5", "y") - place_of(text, "1.0", "y"), 0.03);
  EXPECT_FALSE(holds(text, ">−")) << "from 0 on where nothing is below";
}

TEST(Svg, DistributionDrawsKindsWithDashesOfTheirOwn) {
  Distribution chart;
  chart.low = 0;
  chart.high = 1;
  chart.series = {{"within", {0.25, 0.75}}, {"across", {0.5, 0.5}}, {"none", {}}};
  chart.references = {{0.9, "uniform routing"}, {7, "beyond the axis"}};
  chart.value_title = "similarity";
  const std::string text = svg(figure_of(chart));
  EXPECT_EQ(markup_fault(text), "");
  EXPECT_EQ(count_of(text, "class=\"s0\""), 2U);
  EXPECT_EQ(count_of(text, "class=\"s1 dashed\""), 2U);
  EXPECT_TRUE(holds(text, ">uniform routing: 0.900</text>"));
  EXPECT_FALSE(holds(text, "beyond the axis"));
  EXPECT_TRUE(
      holds(text, "<title>similarity 0.5000 to 1.0000\nwithin: 75.0%\nacross: 50.0%</title>"));
}

TEST(Svg, ScatterPlotTellsGroupsApartByColourAndMarker) {
  ScatterPlot plot;
  plot.groups = {"a", "b"};
  plot.points = {{0, 0, 0, "p", "text of p"}, {1, 1, 1, "q"}, {0.5, nan_value, 1, "lost"}};
  plot.x_title = "PC 1";
  const std::string text = svg(figure_of(plot));
  EXPECT_EQ(markup_fault(text), "");
  EXPECT_TRUE(holds(text, "<title>p (a)\ntext of p</title>"));
  EXPECT_TRUE(holds(text, "<title>q (b)</title>"));
  EXPECT_FALSE(holds(text, "lost"));
  EXPECT_EQ(count_of(text, "class=\"point g0\""), 2U);  // the point and the legend
  EXPECT_EQ(count_of(text, "a4.2 4.2"), 4U) << "discs";
  EXPECT_EQ(count_of(text, "h7.6v7.6h-7.6z"), 2U) << "squares";
}

TEST(Svg, ScatterPlotWithoutAxesHasNoNumbers) {
  ScatterPlot plot{{{12.5, 3, 0, "p"}, {-7, 100, 0, "q"}}, {"a"}};
  EXPECT_TRUE(holds(svg(figure_of(plot)), ">100</text>"));
  plot.has_axes = false;
  Figure figure = figure_of(plot);
  figure.note = "perplexity 30";
  const std::string text = svg(figure);
  EXPECT_EQ(markup_fault(text), "");
  EXPECT_EQ(count_of(text, "<text"), 2U) << "the group and the note";
  EXPECT_TRUE(holds(text, ">perplexity 30</text>"));
}

TEST(Svg, LongNamesAreNeitherCutNorMerged) {
  std::vector<std::string> names;
  for (int i = 0; i < 55; ++i) names.push_back("high_school_subject_" + std::to_string(i));
  names.emplace_back("high_school_mathematics");
  names.emplace_back("high_school_macroeconomics");
  Heatmap map{names, names, std::vector<double>(57UL * 57, 0.5)};
  Heatmap grouped = map;
  grouped.group_names = names;
  grouped.group_sizes.assign(57, 1);
  ScatterPlot plot;
  plot.groups = names;
  BarChart bars{names, std::vector<double>(57, 1)};
  for (const Figure& figure :
       {figure_of(map), figure_of(grouped), figure_of(plot), figure_of(bars)}) {
    const std::string text = svg_file(figure);
    for (const std::string& name : names) EXPECT_TRUE(holds(text, ">" + name + "</text>")) << name;
  }
  // What is longer than any page keeps its end.
  const std::string start(300, 'x');
  const std::string text =
      svg(figure_of(BarChart{{start + "1", start + "2", start, start}, {1, 2, 3, 4}}));
  EXPECT_TRUE(holds(text, "x1</text>"));
  EXPECT_TRUE(holds(text, "x2</text>"));
  EXPECT_TRUE(holds(text, " (3)</text>")) << "the same name twice";
}

TEST(Svg, ManyGroupsAreAllDifferent) {
  ScatterPlot plot;
  for (int g = 0; g < 24; ++g) plot.groups.push_back("group " + std::to_string(g));
  const std::string text = svg(figure_of(plot));
  EXPECT_EQ(markup_fault(text), "");
  std::set<std::string> kinds;  // of marks
  for (std::size_t at = text.find("class=\"point"); at != std::string::npos;
       at = text.find("class=\"point", at + 1)) {
    // The class and the path without the point it starts at.
    const std::size_t shape = text.find_first_of("ahl", text.find(" d=\"M", at) + 5);
    kinds.insert(text.substr(at, 16) + text.substr(shape, text.find('"', shape) - shape));
  }
  EXPECT_EQ(kinds.size(), 24U);
}

TEST(Svg, EscapesForeignTextEverywhere) {
  Heatmap map{{hostile, hostile}, {hostile, hostile}, {1, 2, 3, 4}};
  map.row_title = map.column_title = map.value_title = hostile;
  map.row_texts = map.column_texts = {hostile, hostile};
  Heatmap grouped = map;
  grouped.group_names = {hostile};
  grouped.group_sizes = {2};
  BarChart bars{{hostile}, {1}, {1}, hostile, hostile};
  LineChart line{{1, 2}, hostile, hostile, 1, hostile};
  ScatterPlot plot{{{0, 0, 0, hostile, hostile}}, {hostile}, hostile, hostile};
  Distribution distribution{0, 1, {{hostile, {1}}}, {{0.5, hostile}}, hostile, hostile};
  for (Figure figure : {figure_of(map), figure_of(grouped), figure_of(bars), figure_of(line),
                        figure_of(plot), figure_of(distribution)}) {
    figure.title = figure.caption = figure.note = hostile;
    for (const std::string& text : {svg(figure), svg_file(figure)}) {
      EXPECT_EQ(markup_fault(text), "");
      EXPECT_FALSE(holds(text, "<script"));
      EXPECT_FALSE(holds(text, "\x1b"));
      EXPECT_FALSE(holds(text, "\xff"));
      EXPECT_FALSE(holds(text, "\u202e")) << "turns the direction of what follows";
      EXPECT_FALSE(holds(text, "\uffff")) << "no character of XML";
      EXPECT_TRUE(holds(text, "&lt;script&gt;"));
      EXPECT_TRUE(holds(text, "\\x1b[31m\\xff\\u202e\\uffff"));
    }
  }
}

TEST(Svg, DrawsWhatIsEmptyOrConstant) {
  for (const Figure& figure :
       {figure_of(Heatmap{}), figure_of(Heatmap{{"a"}, {"b"}, {nan_value}}),
        figure_of(Heatmap{{"a"}, {"b"}, {2.5}}), figure_of(BarChart{}),
        figure_of(BarChart{{"a"}, {0}, {0}}), figure_of(BarChart{{"a"}, {nan_value}, {nan_value}}),
        figure_of(LineChart{}), figure_of(LineChart{{nan_value, nan_value}}),
        figure_of(LineChart{{1}}), figure_of(Distribution{}),
        figure_of(Distribution{0, 1, {{"a", {}}}}), figure_of(ScatterPlot{}),
        figure_of(ScatterPlot{{{1, 1, 0, "p"}}, {"g"}})}) {
    for (const std::string& text : {svg(figure), svg_file(figure)}) {
      EXPECT_EQ(markup_fault(text), "");
      EXPECT_FALSE(holds(text, "nan\"")) << text;
      EXPECT_FALSE(holds(text, " nan")) << text;
      EXPECT_FALSE(holds(text, "inf")) << text;
    }
  }
}

TEST(Svg, RefusesPartsThatDoNotFit) {
  EXPECT_THROW(svg(figure_of(Heatmap{{"a"}, {"b"}, {1, 2}})), Error);
  EXPECT_THROW(svg(figure_of(BarChart{{"a"}, {1}, {1, 2}})), Error);
  EXPECT_THROW(svg(figure_of(ScatterPlot{{{0, 0, 1, "p"}}, {"g"}})), Error);
  EXPECT_THROW(svg(figure_of(ScatterPlot{{{0, 0, -1, "p"}}, {"g"}})), Error);
  Heatmap map = category_map();
  map.group_names = {"g"};
  map.group_sizes = {3};
  EXPECT_THROW(svg(figure_of(map)), Error);
}

TEST(SvgStyles, FollowTheSchemeAndKeepPaperLight) {
  EXPECT_TRUE(holds(svg_styles(), "@media screen and (prefers-color-scheme: dark)"));
  EXPECT_TRUE(holds(svg_styles(), ".chart .axis { stroke: var(--axis); stroke-width: 1; }"));
}

}  // namespace
}  // namespace moexray::report
