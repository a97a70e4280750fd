#include "moexray/report/table.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace moexray::report {
namespace {

TEST(Table, AlignsColumns) {
  Table table({"name", "n", "share"});
  table.add_row({"code", "4", "0.5"});
  table.add_row({"naïve 漢字", "12", ""});
  EXPECT_EQ(table.text(),
            "name         n  share\n"
            "code         4    0.5\n"
            "naïve 漢字  12\n");
}

TEST(Table, EscapesControlCharacters) {
  Table table({"id"});
  table.add_row({"a\x1b[31m\nb"});
  EXPECT_EQ(table.text(), "id\na\\x1b[31m\\x0ab\n");
  test::expect_error(ErrorKind::runtime, "cells of a row", [&] { table.add_row({"a", "b"}); });
}

TEST(Table, MeasuresWidth) {
  EXPECT_EQ(display_width("abc"), 3U);
  EXPECT_EQ(display_width("é"), 1U);
  EXPECT_EQ(display_width("e\xCC\x81"), 1U);  // e and a combining accent
  EXPECT_EQ(display_width("漢字"), 4U);
  EXPECT_EQ(display_width("🙂"), 2U);
  EXPECT_EQ(display_width(""), 0U);
}

TEST(Tsv, EscapesSeparators) {
  Tsv tsv({"id", "n"});
  tsv.add_row({"a\tb\nc\\d\r", "1"});
  EXPECT_EQ(tsv.text(), "id\tn\na\\tb\\nc\\\\d\\r\t1\n");
  test::expect_error(ErrorKind::runtime, "expected 2, found 1", [&] { tsv.add_row({"a"}); });
}

}  // namespace
}  // namespace moexray::report
