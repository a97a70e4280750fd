#include "moexray/report/visible.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "moexray/report/table.h"

namespace moexray::report {
namespace {

using Names = std::vector<std::string>;

TEST(VisibleNames, OrdinaryOnesStandAsTheyAre) {
  const Names names{"code", "Code", "high school", "数学", "caf\u00e9", "", "-0.5", "a\\b", "code"};
  EXPECT_EQ(visible_names(names), names);
}

TEST(VisibleNames, BlanksShow) {
  EXPECT_EQ(visible_names({"code", "code ", " code", "a  b", "a\u00a0b", "a b", "\"code \""}),
            (Names{"code", "\"code \"", "\" code\"", "\"a \\u0020b\"", "\"a\\u00a0b\"", "a b",
                   "\"\\\"code \\\"\""}));
  EXPECT_EQ(visible_names({"a\u200bb", "\U000E0041"}), (Names{"\"a\\u200bb\"", "\"\\U000e0041\""}));
}

TEST(VisibleNames, DifferentOnesNeverLookTheSame) {
  EXPECT_EQ(visible_names({"caf\u00e9", "cafe\u0301", "caf\u00e9", "x"}),
            (Names{"\"caf\\u00e9\"", "\"cafe\\u0301\"", "\"caf\\u00e9\"", "x"}));
  const std::string same(80, 'x');
  const Names cut = visible_names({same + "1", same + "2", same});
  EXPECT_EQ(cut, (Names{'"' + same + "1\"", '"' + same + "2\"", same}));
  EXPECT_EQ(visible_names({same + "1"}), (Names{same + "…"}));
}

TEST(VisibleNames, ForeignBytesAreEscaped) {
  EXPECT_EQ(visible_names({"a\x1b[2J", "\xff\xfe"}), (Names{"a\\x1b[2J", "\\xff\\xfe"}));
}

TEST(VisibleNames, TablesShowThem) {
  Table table({"category", "code", "code "});
  table.add_row({"code ", "1", "2"});
  EXPECT_EQ(table.text(),
            "category  code  \"code \"\n"
            "\"code \"      1        2\n");
}

TEST(SimilarNames, AreNamedInOneLine) {
  EXPECT_EQ(similar_names_notice("categories", {"code", "math", "story"}), "");
  EXPECT_EQ(similar_names_notice("categories", {"code", "Code", "math", "code ", "code"}),
            "categories that differ only in case, white space or Unicode form count as different: "
            "\"code\", \"Code\" and \"code \"");
  EXPECT_EQ(similar_names_notice("groups", {"caf\u00e9", "a", "cafe\u0301", "A"}),
            "groups that differ only in case, white space or Unicode form count as different: "
            "\"caf\\u00e9\" and \"cafe\\u0301\"; \"a\" and \"A\"");
}

}  // namespace
}  // namespace moexray::report
