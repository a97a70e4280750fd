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

TEST(Table, MeasuresEmojiAsTerminalsDrawThem) {
  EXPECT_EQ(display_width("✅"), 2U);
  EXPECT_EQ(display_width("❤"), 1U);
  EXPECT_EQ(display_width("❤️"), 2U);            // with the selector that asks for an emoji
  EXPECT_EQ(display_width("👍🏽"), 2U);         // and a skin tone
  EXPECT_EQ(display_width("👩‍🔬"), 2U);  // two and a joiner
  EXPECT_EQ(display_width("🇩🇪"), 2U);
  EXPECT_EQ(display_width("カ\u3099"), 2U);
  EXPECT_EQ(display_width("한국어"), 6U);
  EXPECT_EQ(display_width("ｶﾅ"), 2U);  // half-width
}

TEST(TextLayout, ShortensInTheMiddle) {
  EXPECT_EQ(shortened("algebra", 7), "algebra");
  EXPECT_EQ(shortened("high_school_algebra", 9), "high…ebra");
  EXPECT_EQ(shortened("機械学習の質問", 8), "機械…問");
  for (const std::string text :
       {"high_school_algebra", "機械学習の質問", "👩‍🔬👩‍🔬👩‍🔬👩‍🔬"}) {
    for (std::size_t width = 0; width < 20; ++width) {
      EXPECT_LE(display_width(shortened(text, width)), width) << text;
    }
  }
}

TEST(TextLayout, WrapsBetweenWords) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(wrapped("one two three", 7), (Lines{"one two", "three"}));
  EXPECT_EQ(wrapped("one\ntwo three", 20), (Lines{"one", "two three"}));
  EXPECT_EQ(wrapped("one\ntwo  three", 0), (Lines{"one", "two  three"}));
  EXPECT_EQ(wrapped("a abcdefgh b", 4), (Lines{"a", "abcd", "efgh", "b"}));
  EXPECT_EQ(wrapped("漢字漢字", 3), (Lines{"漢", "字", "漢", "字"}));
  EXPECT_EQ(wrapped("", 10), Lines{""});
}

TEST(Table, FoldsCellsOfTextWhereThereIsNoRoom) {
  Table table({"category", "n", "what speaks for it"},
              {Table::Align::left, Table::Align::right, Table::Align::left});
  table.add_row({"code", "20", "braces and semicolons at the ends of lines"});
  table.add_row({"math", "3", "digits"});
  EXPECT_EQ(table.text(36),
            "category   n  what speaks for it\n"
            "code      20  braces and semicolons\n"
            "              at the ends of lines\n"
            "math       3  digits\n");
  EXPECT_EQ(table.text(), table.text(200));
}

// A matrix of 57 categories with long names, one of them Chinese.
Table wide_matrix(bool square) {
  std::vector<std::string> names;
  for (int i = 0; i < 57; ++i) names.push_back("high_school_subject_no_" + std::to_string(i));
  names[3] = "高中數學與物理";
  std::vector<std::string> headings{"similarity"};
  headings.insert(headings.end(), names.begin(), names.end());
  Table table(headings);
  for (const std::string& name : names) {
    std::vector<std::string> row(58, "0.1234");
    row[0] = name;
    table.add_row(row);
  }
  if (square) table.square();
  table.whole_in("matrix.tsv");
  return table;
}

TEST(Table, LeavesColumnsOutAndSaysWhereTheyAre) {
  for (const bool square : {false, true}) {
    for (const std::size_t width : {20, 40, 60, 80, 100, 137, 400}) {
      const std::string text = wide_matrix(square).text(width);
      for (const std::string& line : wrapped(text, 0))
        EXPECT_LE(display_width(line), width) << line;
      EXPECT_NE(text.find("columns"), std::string::npos);
    }
  }
  const std::string text = wide_matrix(true).text(80);
  EXPECT_TRUE(text.starts_with(
      "similarity                         1       2       3  …      55      56      57\n"))
      << text;
  EXPECT_NE(text.find("4 高中數學與物理"), std::string::npos);
  EXPECT_NE(text.find("… 51 of 58 columns are left out here: matrix.tsv has all\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(wide_matrix(true).text(100'000), wide_matrix(false).text());
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
