#include "moexray/report/document.h"

#include <gtest/gtest.h>

namespace moexray::report {
namespace {

Document example() {
  Document document;
  document.paragraph("first\nsecond");
  Table table({"name", "value"});
  table.add_row({"<b>&\"'", "1"});
  document.table(std::move(table));
  document.note("right below");
  return document;
}

TEST(Document, IsTextWithBlankLinesBetweenBlocks) {
  EXPECT_EQ(example().text(), "first\nsecond\n\nname   value\n<b>&\"'      1\nright below\n");
  EXPECT_EQ(Document().text(), "");
}

TEST(Document, IsHtmlWithForeignTextEscaped) {
  EXPECT_EQ(example().html(),
            "<p>first<br>\nsecond</p>\n"
            "<div class=\"scroll\"><table>\n"
            "<thead><tr><th>name</th><th class=\"n\">value</th></tr></thead>\n"
            "<tbody>\n<tr><td>&lt;b&gt;&amp;&quot;&#39;</td><td class=\"n\">1</td></tr>\n</tbody>\n"
            "</table></div>\n"
            "<p>right below</p>\n");
}

TEST(HtmlEscaped, EscapesControlCharactersAndBadBytes) {
  EXPECT_EQ(html_escaped("a\x1b[31m\xff"), "a\\x1b[31m\\xff");
}

}  // namespace
}  // namespace moexray::report
