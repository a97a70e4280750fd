#include "moexray/report/html_table.h"

#include <gtest/gtest.h>

#include "moexray/core/error.h"
#include "support/markup.h"

namespace moexray::report {
namespace {

TEST(HtmlTable, SaysWhatItsHeadingsHead) {
  HtmlTable table("Sizes <of> things", {{"thing", false, "name"}, {"size", true}, {"why"}});
  table.add_row({"a", "1", "<em>so</em>"});
  table.group("Others & more");
  table.add_cells({{"b"}, {"2", "d3", "two"}, {"", "", ""}});
  EXPECT_EQ(test::markup_fault(table.html()), "");
  EXPECT_EQ(table.html(),
            "<div class=\"scroll\" role=\"group\" tabindex=\"0\" "
            "aria-label=\"Sizes &lt;of&gt; things\"><table>\n"
            "<caption>Sizes &lt;of&gt; things</caption>\n"
            "<thead><tr><th scope=\"col\">thing</th><th scope=\"col\" class=\"n\">size</th>"
            "<th scope=\"col\">why</th></tr></thead>\n"
            "<tbody>\n<tr><th scope=\"row\" class=\"name\">a</th><td class=\"n\">1</td>"
            "<td><em>so</em></td></tr>\n</tbody>\n"
            "<tbody>\n<tr><th scope=\"rowgroup\" colspan=\"3\">Others &amp; more</th></tr>\n"
            "<tr><th scope=\"row\" class=\"name\">b</th><td class=\"n d3\" title=\"two\">2</td>"
            "<td></td></tr>\n</tbody>\n</table></div>\n");
}

TEST(HtmlTable, WithoutACaptionOrRows) {
  const HtmlTable table("", {{"thing"}}, HtmlTable::FirstColumn::is_data);
  EXPECT_EQ(table.html(),
            "<div class=\"scroll\" role=\"group\" tabindex=\"0\" aria-label=\"Table\"><table>\n"
            "<thead><tr><th scope=\"col\">thing</th></tr></thead>\n</table></div>\n");
}

TEST(HtmlTable, FirstColumnMayBeData) {
  HtmlTable table("", {{"thing"}, {"size", true}}, HtmlTable::FirstColumn::is_data);
  table.add_row({"a", "1"});
  EXPECT_NE(table.html().find("<tr><td>a</td><td class=\"n\">1</td></tr>"), std::string::npos);
}

TEST(HtmlTable, RowsHaveAsManyCellsAsThereAreColumns) {
  HtmlTable table("", {{"thing"}, {"size", true}});
  EXPECT_THROW(table.add_row({"a"}), Error);
}

}  // namespace
}  // namespace moexray::report
