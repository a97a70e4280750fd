#include "moexray/report/document.h"

#include <gtest/gtest.h>

namespace moexray::report {
namespace {

Document example() {
  Document document;
  document.paragraph("first\nsecond");
  Table table({"name", "value"});
  table.add_row({"<b>&\"'", "1"});
  document.table(std::move(table), "What & why");
  document.note("right below");
  return document;
}

TEST(Document, IsTextWithBlankLinesBetweenBlocks) {
  EXPECT_EQ(example().text(), "first\nsecond\n\nname    value\n<b>&\"'      1\nright below\n");
  EXPECT_EQ(Document().text(), "");
}

TEST(Document, IsHtmlWithForeignTextEscaped) {
  EXPECT_EQ(
      example().html(),
      "<p>first<br>\nsecond</p>\n"
      "<div class=\"scroll\" role=\"group\" tabindex=\"0\" aria-label=\"What &amp; why\"><table>\n"
      "<caption>What &amp; why</caption>\n"
      "<thead><tr><th scope=\"col\">name</th><th scope=\"col\" class=\"n\">value</th></tr>"
      "</thead>\n"
      "<tbody>\n<tr><th scope=\"row\">&lt;b&gt;&amp;&quot;&#39;</th>"
      "<td class=\"n\">1</td></tr>\n</tbody>\n"
      "</table></div>\n"
      "<p>right below</p>\n");
}

TEST(HtmlEscaped, EscapesControlCharactersAndBadBytes) {
  EXPECT_EQ(html_escaped("a\x1b[31m\xff"), "a\\x1b[31m\\xff");
}

TEST(OneLine, JoinsLinesAndCuts) {
  EXPECT_EQ(one_line("a\nb\tc\r\n", 100), "a b c  ");
  EXPECT_EQ(one_line("abc\x1b", 100), "abc\\x1b");
  EXPECT_EQ(one_line("ééééé", 4), "éé…");
  // Where the text is cut before it is looked at, no half character may show.
  EXPECT_EQ(one_line(std::string(9, 'a') + "é" + std::string(100, 'b'), 4), "aaaa…");
  EXPECT_EQ(one_line(std::string(23, 'a') + "é", 5), "aaaaa…");
}

}  // namespace
}  // namespace moexray::report
