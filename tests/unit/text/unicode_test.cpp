// Character classes and NFC for every code point, as Hugging Face's tokenizers 0.23 has them.

#include "unicode.h"

#include <gtest/gtest.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uversion.h>

#include "fixtures.h"
#include "gpt2_words.h"

namespace moexray::test {
namespace {

constexpr char32_t n_code_points = 0x110000;

bool is_surrogate(char32_t c) { return c >= 0xD800 && c <= 0xDFFF; }

std::string utf8(char32_t c) {
  std::string text;
  unicode::append_utf8(text, c);
  return text;
}

// The class that the word splitter shows for a code point.
char class_of(char32_t c) {
  for (const auto& [kind, before] : {std::pair{'L', "a"}, {'N', "1"}, {'O', ";"}}) {
    const std::string text = before + utf8(c);
    if (end_of_gpt2_word(text, 0) == text.size()) return kind;
  }
  return 'S';
}

char class_in_icu(char32_t c) {
  const std::uint32_t mask = U_GET_GC_MASK(static_cast<UChar32>(c));
  if ((mask & U_GC_L_MASK) != 0) return 'L';
  if ((mask & U_GC_N_MASK) != 0) return 'N';
  return u_isUWhiteSpace(static_cast<UChar32>(c)) != 0 ? 'S' : 'O';
}

std::array<std::string, 3> nfc_probes(char32_t c) {
  return {utf8(c), "a\u0315" + utf8(c), "a\u0334" + utf8(c) + "\u0334"};
}

const Json& fixture() {
  static const Json json = Json::parse(read_zst("unicode.json.zst"));
  return json;
}

TEST(Unicode, classes_of_all_code_points_are_those_of_hugging_face) {
  const Json& runs = fixture().at("classes");
  std::size_t n_wrong = 0;
  std::size_t n_wrong_in_icu = 0;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const char32_t end = i + 1 < runs.size() ? runs[i + 1][0].get<char32_t>() : n_code_points;
    const char expected = runs[i][1].get<std::string>()[0];
    for (char32_t c = runs[i][0].get<char32_t>(); c < end; ++c) {
      if (is_surrogate(c)) continue;
      if (class_of(c) != expected && n_wrong++ < 5) {
        ADD_FAILURE() << "U+" << std::hex << static_cast<unsigned>(c) << " should be " << expected;
      }
      n_wrong_in_icu += class_in_icu(c) != expected ? 1 : 0;
    }
  }
  EXPECT_EQ(n_wrong, 0U);
  // The letters and numbers that Unicode has added since, and only those, are not ICU's.
  if (U_ICU_VERSION_MAJOR_NUM == 72) {
    EXPECT_EQ(n_wrong_in_icu, 5004U);
  }
}

TEST(Unicode, nfc_of_all_code_points_is_that_of_hugging_face) {
  std::map<char32_t, std::array<std::string, 3>> expected;
  for (const Json& entry : fixture().at("nfc")) {
    expected[entry[0].get<char32_t>()] = {entry[1], entry[2], entry[3]};
  }
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* icu_nfc = icu::Normalizer2::getNFCInstance(status);
  ASSERT_TRUE(U_SUCCESS(status));
  std::size_t n_wrong = 0;
  std::size_t n_wrong_in_icu = 0;
  for (char32_t c = 0; c < n_code_points; ++c) {
    if (is_surrogate(c)) continue;
    const auto found = expected.find(c);
    const auto probes = nfc_probes(c);
    const auto& forms = found == expected.end() ? probes : found->second;
    bool differs_in_icu = false;
    for (std::size_t i = 0; i < probes.size(); ++i) {
      if (unicode::nfc(probes[i]).text != forms[i] && n_wrong++ < 5) {
        ADD_FAILURE() << "NFC with U+" << std::hex << static_cast<unsigned>(c);
      }
      std::string in_icu;
      icu_nfc->normalize(icu::UnicodeString::fromUTF8(probes[i]), status).toUTF8String(in_icu);
      differs_in_icu = differs_in_icu || in_icu != forms[i];
    }
    n_wrong_in_icu += differs_in_icu ? 1 : 0;
  }
  EXPECT_EQ(n_wrong, 0U);
  // The characters with a combining class or decomposition that came after Unicode 9.
  if (U_ICU_VERSION_MAJOR_NUM == 72) {
    EXPECT_EQ(n_wrong_in_icu, 108U);
  }
}

TEST(Unicode, long_segments_are_normalised_as_icu_does) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* icu_nfc = icu::Normalizer2::getNFCInstance(status);
  const std::vector<std::string> parts = {"\u0301", "\u0316", "\u0344", "\u0323", "\u0f71",
                                          "\u0f72", "\u1161", "\u11a8", "\u3099", "\u05b0",
                                          "\u0958", "a",      "\u1100", "\u0307"};
  std::uint32_t state = 1;
  for (int i = 0; i < 2000; ++i) {
    std::string text = "e";
    for (int k = 0; k < 120; ++k) {
      state = state * 1664525 + 1013904223;
      text += parts[(state >> 16) % (i % 2 == 0 ? 11 : parts.size())];
    }
    std::string expected;
    icu_nfc->normalize(icu::UnicodeString::fromUTF8(text), status).toUTF8String(expected);
    ASSERT_EQ(unicode::nfc(text).text, expected);
  }
}

TEST(Unicode, alignment_maps_to_whole_original_characters) {
  const AlignedText aligned = unicode::nfc("xe\u0301y\u0065\u0323\u0301z");
  ASSERT_EQ(aligned.text, "x\u00E9y\u1EB9\u0301z");
  const auto expect_span = [&](std::size_t begin, std::size_t end, TextSpan expected) {
    const TextSpan span = aligned.original_of(begin, end);
    EXPECT_EQ(span.begin, expected.begin);
    EXPECT_EQ(span.end, expected.end);
  };
  expect_span(0, 1, {0, 1});
  expect_span(1, 2, {1, 4});  // one byte of "é"
  expect_span(1, 3, {1, 4});
  expect_span(3, 4, {4, 5});
  expect_span(0, 4, {0, 5});
  expect_span(8, 9, {5, 10});
  expect_span(9, 10, {10, 11});
}

TEST(Unicode, ill_formed_bytes_become_one_replacement_each_maximal_part) {
  EXPECT_EQ(unicode::replace_invalid_utf8("a\xFFz"), "a\uFFFDz");
  EXPECT_EQ(unicode::replace_invalid_utf8("\xE2\x98"), "\uFFFD");
  EXPECT_EQ(unicode::replace_invalid_utf8("\xE2\x98z"), "\uFFFDz");
  EXPECT_EQ(unicode::replace_invalid_utf8("\xF0\x9F\x98\xE2"), "\uFFFD\uFFFD");
  EXPECT_EQ(unicode::replace_invalid_utf8("\xC0\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(unicode::replace_invalid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(unicode::replace_invalid_utf8("\u00e9\xE2\x98\x83"), "\u00e9\u2603");
}

TEST(Gpt2Words, covers_the_text_by_the_pattern) {
  const auto words = [](std::string_view text) {
    std::vector<std::string> result;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = end_of_gpt2_word(text, begin);
      result.emplace_back(text.substr(begin, end - begin));
      begin = end;
    }
    return result;
  };
  using Words = std::vector<std::string>;
  EXPECT_EQ(words("it's 'S'll 'x"), (Words{"it", "'s", " '", "S", "'ll", " '", "x"}));
  EXPECT_EQ(words("a  b\n\nc \n"), (Words{"a", " ", " b", "\n", "\n", "c", " \n"}));
  EXPECT_EQ(words(" \t1a?"), (Words{" ", "\t", "1", "a", "?"}));
  EXPECT_EQ(words("   "), (Words{"   "}));
}

}  // namespace
}  // namespace moexray::test
