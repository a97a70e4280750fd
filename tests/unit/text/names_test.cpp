#include "moexray/text/names.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace moexray {
namespace {

using Groups = std::vector<std::vector<std::string>>;

Groups groups(const std::vector<std::string>& names) { return similar_names(names); }

TEST(SimilarNames, DifferInCaseSpaceOrForm) {
  EXPECT_EQ(groups({"code", "math", "Code", "code ", "code", ""}),
            (Groups{{"code", "Code", "code "}}));
  EXPECT_EQ(groups({"b c", "x", "b  c", "X", "bc"}), (Groups{{"b c", "b  c", "bc"}, {"x", "X"}}));
  EXPECT_EQ(groups({"caf\u00e9", "cafe\u0301"}), (Groups{{"caf\u00e9", "cafe\u0301"}}));
  EXPECT_EQ(groups({"Straße", "STRASSE"}).size(), 1U);
  EXPECT_EQ(groups({"a\u00a0b", "a b", "a\u200bb", "ａb"}).size(), 1U);
  EXPECT_EQ(groups({"code", "coda", "c o d e s", "数学", "数"}), Groups{});
}

TEST(SimilarNames, NormalFormIsThatOfWhatLooksTheSame) {
  EXPECT_EQ(normalized_name("cafe\u0301"), "caf\u00e9");
  EXPECT_NE(normalized_name("Code"), normalized_name("code"));
}

}  // namespace
}  // namespace moexray
