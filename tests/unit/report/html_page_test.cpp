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

TEST(HtmlFigure, HasDrawingCaptionAndValues) {
  const Figure figure{"fig2_baselines", "Baselines", "Bars & errors.",
                      BarChart{{"within"}, {0.84}, {0.09}, "similarity", "std"}};
  const std::string html = html_figure(figure);
  EXPECT_EQ(markup_fault(html), "");
  EXPECT_TRUE(html.starts_with("<figure id=\"fig2_baselines\">\n<h3>Baselines</h3>\n"));
  EXPECT_TRUE(holds(html, "<svg class=\"chart\""));
  EXPECT_TRUE(holds(html, "<figcaption>Bars &amp; errors.</figcaption>"));
  EXPECT_TRUE(holds(html, "<td>within</td><td class=\"n\">0.8400</td><td class=\"n\">0.0900</td>"));
}

TEST(HtmlFigure, LeavesOutAMatrixThatIsTooLarge) {
  Heatmap map;
  for (int i = 0; i < 151; ++i) map.row_labels.push_back(std::to_string(i));
  map.column_labels = map.row_labels;
  map.values.assign(151 * 151, 0.5);
  const std::string html = html_figure({"fig1_prompts", "Prompts", "", map});
  EXPECT_EQ(markup_fault(html), "");
  EXPECT_FALSE(holds(html, "<svg"));
  EXPECT_TRUE(holds(html, "draws up to 22500 cells: see fig1_prompts.svg beside it"));
}

}  // namespace
}  // namespace moexray::report
