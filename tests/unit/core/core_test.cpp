#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <set>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/random.h"
#include "moexray/core/system.h"
#include "moexray/core/wording.h"

namespace moexray {
namespace {

TEST(Error, NamesPlaceExpectedAndFound) {
  const Error error(ErrorKind::data, {"wrong type", "a.json: key \"x\"", "a number", "\"text\""});
  EXPECT_STREQ(error.what(), "a.json: key \"x\": wrong type: expected a number, found \"text\"");
  EXPECT_STREQ(Error(ErrorKind::data, {"bad", {}, {}, "this"}).what(), "bad: found this");
}

TEST(Error, EscapesForeignTextButKeepsLines) {
  const Error error(ErrorKind::data, {"first\nsecond", "file\x1b[31m", {}, "a\rb"});
  EXPECT_STREQ(error.what(), "file\\x1b[31m: first\nsecond: found a\\x0db");
}

TEST(Wording, NumbersAgreeWithTheirNouns) {
  EXPECT_EQ(counted(0, "prompt"), "0 prompts");
  EXPECT_EQ(counted(1, "prompt"), "1 prompt");
  EXPECT_EQ(counted(12, "prompt"), "12 prompts");
  EXPECT_EQ(counted(1, "category", "categories"), "1 category");
  EXPECT_EQ(counted(2, "category", "categories"), "2 categories");
}

TEST(Wording, ListsNameTheFirstAndCountTheRest) {
  EXPECT_EQ(quoted_list({}), "");
  EXPECT_EQ(quoted_list(std::vector<std::string>{"a", "b\x1b"}), "\"a\", \"b\\x1b\"");
  EXPECT_EQ(quoted_list(std::vector<std::string>(5, "a"), 3), "\"a\", \"a\" and 3 more");
  EXPECT_EQ(quoted_list(std::vector<std::string>(3, "a"), 3), "\"a\", \"a\", \"a\"");
}

TEST(Printable, EscapesControlsAndBrokenUtf8) {
  EXPECT_EQ(printable("aé€😀"), "aé€😀");
  EXPECT_EQ(printable("\t\x7f\xc2\x85"), "\\x09\\x7f\\xc2\\x85");
  EXPECT_EQ(printable("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");
  EXPECT_EQ(printable("abcdef", 3), "abc…");
}

TEST(Utf8, FollowsTheTableOfWellFormedSequences) {
  for (const char* good : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                           "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_valid_utf8(good)) << printable(good);
  }
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xc3"}) {
    EXPECT_FALSE(is_valid_utf8(bad)) << printable(bad);
  }
  EXPECT_EQ(find_invalid_utf8("ab\xff"), 2U);
}

// The generator's published test: state {1, 2, 3, 4}.
TEST(RandomStream, IsXoshiro256PlusPlus) {
  RandomStream random(0);
  random.set_state({1, 2, 3, 4});
  EXPECT_EQ(random(), 41943041U);
  EXPECT_EQ(random(), 58720359U);
}

TEST(RandomStream, StreamsDifferByNameAndSeedAndRepeat) {
  std::set<std::uint64_t> first;
  for (const std::uint64_t seed : {0U, 1U, 2U}) {
    for (const char* name : {"a", "b", "code-01"}) first.insert(RandomStream(seed, name)());
  }
  EXPECT_EQ(first.size(), 9U);
  EXPECT_EQ(RandomStream(7, "a")(), RandomStream(7, "a")());
}

TEST(RandomStream, DrawsHaveTheirDistributions) {
  RandomStream random(11);
  constexpr int n = 60000;
  std::array<int, 6> counts{};
  double sum = 0, square = 0, uniform = 0;
  for (int i = 0; i < n; ++i) {
    ++counts[random.below(6)];
    const double z = random.normal(), u = random.uniform();
    sum += z;
    square += z * z;
    uniform += u;
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
  }
  for (const int count : counts) EXPECT_NEAR(count, n / 6, 5 * std::sqrt(n / 6.0));
  EXPECT_NEAR(sum / n, 0, 0.025);
  EXPECT_NEAR(square / n, 1, 0.03);
  EXPECT_NEAR(uniform / n, 0.5, 0.006);
}

TEST(System, ReportsSomething) {
  EXPECT_GE(available_threads(), 1);
  EXPECT_GT(available_memory_bytes(), std::uint64_t{1} << 24);
}

}  // namespace
}  // namespace moexray
