#include "moexray/report/html_page.h"

#include <gtest/gtest.h>

#include "support/markup.h"

namespace moexray::report {
namespace {

using test::count_of;
using test::markup_fault;

bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(HtmlPage, IsOneSelfContainedFile) {
  HtmlPage page("Routing of <model> & \"friends\"");
  page.lead(html_paragraph("12 prompts"));
  page.style(".own { color: red; }\n");
  page.section("first", "First & foremost", html_paragraph("a < b"));
  page.section("second", "Second", html_details("more", "<p>x</p>\n"));
  const std::string html = page.html();
  EXPECT_EQ(markup_fault(html), "");
  EXPECT_TRUE(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">\n"));
  EXPECT_EQ(count_of(html, "Routing of &lt;model&gt; &amp; &quot;friends&quot;"), 2U);
  EXPECT_TRUE(holds(html, "<li><a href=\"#first\">First &amp; foremost</a></li>"));
  EXPECT_TRUE(
      holds(html, "<section id=\"first\">\n<h2>First &amp; foremost</h2>\n<p>a &lt; b</p>"));
  EXPECT_TRUE(holds(html, ".own { color: red; }"));
  EXPECT_TRUE(holds(html, "default-src 'none'"));
  for (const char* never : {"<script", "http://", "https://", "url(", "@import", "<link"}) {
    EXPECT_FALSE(holds(html, never)) << never;
  }
}

TEST(HtmlPage, StylesForPaperComeLast) {
  HtmlPage page("p");
  page.style(".chart { max-width: 99rem; }\n");
  const std::string html = page.html();
  const std::size_t print = html.find("@media print");
  ASSERT_NE(print, std::string::npos);
  EXPECT_GT(print, html.find("max-width: 99rem"));
  // Nothing may come behind it that changes figures on paper back.
  EXPECT_EQ(html.find("@media", print + 1), std::string::npos);
  EXPECT_GT(html.find("</style>"), print);
}

TEST(HtmlPage, LeavesOutSectionsWithoutContent) {
  HtmlPage page("p");
  page.navigation("<p>above</p>\n");
  page.section("first", "First", html_paragraph("a"));
  page.section("second", "Second", "");
  const std::string html = page.html();
  EXPECT_FALSE(holds(html, "second"));
  EXPECT_LT(html.find("<p>above</p>"), html.find("<h1>"));
}

const Figure bars{"fig2_baselines", "Baselines", "Bars & errors.",
                  BarChart{{"within"}, {0.84}, {0.09}, "similarity", "std"}};

TEST(HtmlFigure, HasDrawingCaptionAndValues) {
  const std::string html = html_figure(bars, {});
  EXPECT_EQ(markup_fault(html), "");
  EXPECT_TRUE(html.starts_with("<figure id=\"fig2_baselines\">\n<h3>Baselines</h3>\n"));
  EXPECT_TRUE(holds(html, "<svg class=\"chart\""));
  EXPECT_TRUE(holds(html, "<figcaption>Bars &amp; errors.</figcaption>"));
  EXPECT_TRUE(holds(html, "<caption>Baselines</caption>"));
  EXPECT_TRUE(holds(
      html, "<th scope=\"row\">within</th><td class=\"n\">0.8400</td><td class=\"n\">0.0900</td>"));
  EXPECT_FALSE(holds(html, "<a ")) << "no files, no links";
}

TEST(HtmlFigure, LinksToItsFilesThatAreThere) {
  const std::string html =
      html_figure(bars, {"fig2_baselines.svg", "fig2_baselines.tsv", "fig3_layers.png"});
  EXPECT_EQ(markup_fault(html), "");
  EXPECT_TRUE(holds(html,
                    "Full size: <a href=\"fig2_baselines.svg\">SVG</a>. "
                    "Values: <a href=\"fig2_baselines.tsv\">TSV</a>."));
  EXPECT_EQ(count_of(html, "<a "), 2U);
}

Figure matrix_of(int n) {
  Heatmap map;
  for (int i = 0; i < n; ++i) map.row_labels.push_back("prompt " + std::to_string(i));
  map.column_labels = map.row_labels;
  map.values.assign(static_cast<std::size_t>(n * n), 0.5);
  return {"fig1_prompts", "Prompts", "", map};
}

TEST(HtmlFigure, AMatrixThatIsTooLargeIsAnImage) {
  const std::string html =
      html_figure(matrix_of(151), {"fig1_prompts.svg", "fig1_prompts.png", "fig1_prompts.tsv"});
  EXPECT_EQ(markup_fault(html), "");
  EXPECT_FALSE(holds(html, "<svg"));
  EXPECT_FALSE(holds(html, "<table"));
  EXPECT_TRUE(holds(html, "<img src=\"fig1_prompts.png\" alt=\"Prompts\">"));
  EXPECT_TRUE(holds(html, "<a href=\"fig1_prompts.tsv\">"));
  EXPECT_TRUE(
      holds(html_figure(matrix_of(151), {"fig1_prompts.svg"}), "<img src=\"fig1_prompts.svg\""));
  const std::string none = html_figure(matrix_of(151), {"fig1_prompts.tsv"});
  EXPECT_FALSE(holds(none, "<img"));
  EXPECT_TRUE(holds(none, "draws up to 22500 cells"));
}

TEST(HtmlFigure, AMatrixThatIsDrawnHasAllItsValues) {
  const std::string html = html_figure(matrix_of(150), {});
  EXPECT_EQ(markup_fault(html), "");
  EXPECT_EQ(count_of(html, "<td class=\"n\">0.5000</td>"), 150U * 150U);
  EXPECT_EQ(count_of(html, "<th scope=\"col\""), 151U);
}

TEST(HtmlFigure, NamesAreNeitherCutNorMerged) {
  Figure figure = matrix_of(2);
  std::get<Heatmap>(figure.chart).row_labels = {
      "a category with a long name that goes on and on: high school macroeconomics, once more",
      "a category with a long name that goes on and on: high school mathematics, for ever"};
  const std::string html = html_figure(figure, {});
  EXPECT_TRUE(holds(html, "macroeconomics, once more</th>"));
  EXPECT_TRUE(holds(html, "mathematics, for ever</th>"));
}

}  // namespace
}  // namespace moexray::report
