#include <gtest/gtest.h>

#include <cmath>

#include "moexray/report/svg.h"
#include "support/markup.h"

namespace moexray::report {
namespace {

using test::count_of;
using test::markup_fault;

bool file_holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

Figure file_figure(std::variant<Heatmap, BarChart, LineChart, ScatterPlot, Distribution> chart) {
  return {"fig", "A title", "A caption.", std::move(chart)};
}

// A figure of every kind with everything that it can hold.
std::vector<Figure> full_figures() {
  Heatmap map{{"code", "math"}, {"code", "math"}, {0.9, 0.25, 0.5, NAN}};
  map.show_values = true;
  map.row_title = map.column_title = "category";
  map.scale = {ColourScale::Kind::sequential, 0, 1, false, {0.9, "uniform routing"}};
  Heatmap grouped = map;
  grouped.group_names = {"a", "b"};
  grouped.group_sizes = {1, 1};
  BarChart bars{{"a", "b"}, {1, -2}, {0.5, 0.1}, "x", "error", {}, {}, {{0.5, "one"}, {1, "two"}}};
  LineChart line{{0, 1, -1}, "x", "y", 1, "peak", {0, 1, -2}, {1, 2, 0}, "interval", 0.5, "null"};
  ScatterPlot plot;
  for (int g = 0; g < 16; ++g) {
    plot.groups.push_back(std::to_string(g));
    plot.points.push_back({1.0 * g, 2.0 * g, g, "p"});
  }
  Distribution shares;
  for (int s = 0; s < 8; ++s) shares.series.push_back({std::to_string(s), {0.5, 0.5}});
  shares.references = {{0.5, "here"}};
  std::vector<Figure> figures{file_figure(map),  file_figure(grouped), file_figure(bars),
                              file_figure(line), file_figure(plot),    file_figure(shares)};
  for (Figure& figure : figures) figure.note = "A note.";
  return figures;
}

TEST(SvgFile, StandsAloneWithLiteralColours) {
  for (const Figure& figure : full_figures()) {
    const std::string text = svg_file(figure);
    EXPECT_EQ(markup_fault(text), "");
    EXPECT_TRUE(text.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"8.500cm\""));
    EXPECT_TRUE(file_holds(text, "<title>A title</title>\n<desc>A caption.</desc>"));
    EXPECT_TRUE(file_holds(text, "fill=\"#ffffff\"/>")) << "on white";
    EXPECT_TRUE(file_holds(text, ">A title</text>"));
    EXPECT_TRUE(file_holds(text, ">A note.</text>"));
    for (const char* const of_pages : {"var(", "class=", "style=", "currentColor", "href"}) {
      EXPECT_FALSE(file_holds(text, of_pages)) << of_pages;
    }
    EXPECT_EQ(count_of(text, "<title>"), 1U) << "no hover texts";
  }
}

TEST(SvgFile, ComesFromTheDrawingOfThePage) {
  for (const Figure& figure : full_figures()) {
    if (std::holds_alternative<Heatmap>(figure.chart)) continue;  // its cells go by colour
    const std::string page = svg(figure);
    const std::string file = svg_file(figure);
    for (const char* const element : {"<line", "<path"}) {
      EXPECT_EQ(count_of(page, element), count_of(file, element)) << element;
    }
    EXPECT_EQ(count_of(page, "<text") + 1, count_of(file, "<text")) << "and the title";
  }
}

TEST(SvgFile, HoldsAQuarterOfAMillionCellsInLittle) {
  Heatmap map;
  for (int i = 0; i < 500; ++i) map.row_labels.push_back(std::to_string(i));
  map.column_labels = map.row_labels;
  for (int i = 0; i < 250'000; ++i) map.values.push_back((i * 7919 % 1000) / 1000.0);
  const std::string text = svg_file(file_figure(map));
  EXPECT_EQ(markup_fault(text), "");
  EXPECT_EQ(count_of(text, "h1v1h-1z"), 250'000U);
  EXPECT_LT(text.size(), 5'000'000U);
}

}  // namespace
}  // namespace moexray::report
