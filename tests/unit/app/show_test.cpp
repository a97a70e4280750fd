#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "show_text.h"
#include "shown_prompt.h"

namespace moexray::app {
namespace {

TEST(VisibleToken, ShowsBlanksAndUndoesByteLevelNames) {
  EXPECT_EQ(visible_token("Ġhello", "byte_level_bpe"), "␣hello");
  EXPECT_EQ(visible_token("ĊĊ", "byte_level_bpe"), "⏎⏎");
  EXPECT_EQ(visible_token("ĉ", "byte_level_bpe"), "⇥");
  EXPECT_EQ(visible_token("Ã©", "byte_level_bpe"), "é");
  // A part of a character has no text.
  EXPECT_EQ(visible_token("Ã", "byte_level_bpe"), "\\xc3");
  // Added tokens are no entries of the byte-level alphabet.
  EXPECT_EQ(visible_token("a 漢", "byte_level_bpe"), "a␣漢");
  EXPECT_EQ(visible_token("▁hello▁there", "sentencepiece"), "␣hello␣there");
  EXPECT_EQ(visible_token("<0x0A>", "sentencepiece"), "⏎");
  EXPECT_EQ(visible_token("<0x0A>", "byte_level_bpe"), "<0x0A>");
  EXPECT_EQ(visible_token("a\x1b[2J\n", ""), "a\\x1b[2J⏎");
  EXPECT_EQ(visible_token("▁Ġ", ""), "▁Ġ") << "of a vocabulary that is not known";
  EXPECT_EQ(visible_token("", "byte_level_bpe"), "");
}

TEST(VisibleToken, KnowsEveryByte) {
  // GPT-2's table: what is not printable in Latin-1 takes U+0100 and on, in order.
  int n_shifted = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const bool is_itself =
        (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    const int character = is_itself ? byte : 256 + n_shifted++;
    std::string token;
    if (character < 0x80) {
      token += static_cast<char>(character);
    } else {
      token += static_cast<char>(0xC0 | (character >> 6));
      token += static_cast<char>(0x80 | (character & 0x3F));
    }
    const std::string shown = visible_token(token, "byte_level_bpe");
    if (byte > 32 && byte < 127) {
      EXPECT_EQ(shown, std::string(1, static_cast<char>(byte)));
    } else if (byte != ' ' && byte != '\n' && byte != '\t') {
      char expected[8];
      std::snprintf(expected, sizeof expected, "\\x%02x", byte);
      EXPECT_EQ(shown, expected);
    }
  }
}

TEST(DistanceStep, LiesBetweenTypicalAndRandom) {
  const std::vector<std::pair<double, int>> cases{{0, 0},    {0.29, 0}, {0.31, 1}, {0.39, 1},
                                                  {0.41, 2}, {0.49, 2}, {0.51, 3}, {0.59, 3},
                                                  {0.61, 4}, {1, 4}};
  for (const auto& [distance, step] : cases) {
    EXPECT_EQ(distance_step(distance, 0.4, 0.6), step) << distance;
  }
  // Where the category itself routes uniformly there is nothing between the two.
  EXPECT_EQ(distance_step(0.5, 0.4, 0.4), 4);
  EXPECT_EQ(distance_step(0.3, 0.4, 0.4), 1);
}

TEST(ExpertsText, NamesWeightsWhereTheyAreKnown) {
  EXPECT_EQ(experts_text({{17, 3}, {0.25F, 0.125F}}), "17 (0.250), 3 (0.125)");
  EXPECT_EQ(experts_text({{17, 3}, {}}), "17, 3");
  EXPECT_EQ(experts_text({}), "-");
}

TEST(DefinedMean, SkipsWhatIsUndefined) {
  EXPECT_EQ(defined_mean({1, std::nan(""), 3}), 2);
  EXPECT_TRUE(std::isnan(defined_mean({})));
}

}  // namespace
}  // namespace moexray::app
