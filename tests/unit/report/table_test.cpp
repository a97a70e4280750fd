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

TEST(Tsv, QuotesWhatReadersWouldMisread) {
  Tsv tsv({"id", "n"});
  tsv.add_row({"plain 'text' C:\\d, #2", ""});
  tsv.add_row({"\"said\" he", "#1"});
  tsv.add_row({"5\" disk", "\""});
  tsv.add_row({"a\tb", "c\nd\r"});
  EXPECT_EQ(tsv.text(),
            "id\tn\n"
            "plain 'text' C:\\d, #2\t\n"
            "\"\"\"said\"\" he\"\t\"#1\"\n"
            "\"5\"\" disk\"\t\"\"\"\"\n"
            "\"a\tb\"\t\"c\nd\r\"\n");
  test::expect_error(ErrorKind::runtime, "expected 2, found 1", [&] { tsv.add_row({"a"}); });
}

TEST(Tsv, RowsReadBack) {
  for (const std::string cell :
       {"", "plain", "\"", "\"\"", "\"quoted\"", "a\"b", "#c", "\\t", "a\tb"}) {
    Tsv tsv({"first", "second", "third"});
    const std::vector<std::string> cells{cell, "x", cell};
    tsv.add_row(cells);
    std::string_view row = tsv.text();
    row.remove_prefix(row.find('\n') + 1);
    row.remove_suffix(1);
    EXPECT_EQ(split_tsv_row(row), cells) << row;
  }
  EXPECT_EQ(split_tsv_row("a\t"), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(split_tsv_row("a\"b\tc"), (std::vector<std::string>{"a\"b", "c"}));
  for (const char* row : {"\"", "\"a", "\"a\tb", "\"a\"b\tc", "\"a\"\"", "x\t\"y"}) {
    EXPECT_EQ(split_tsv_row(row), std::nullopt) << row;
  }
}

}  // namespace
}  // namespace moexray::report
