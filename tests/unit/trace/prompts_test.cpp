#include "moexray/trace/prompts.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "moexray/core/error.h"
#include "support/expect_error.h"

namespace moexray {
namespace {

using test::expect_error;

PromptSet parse(const std::string& text, const PromptReadOptions& options = {}) {
  std::istringstream in(text);
  return read_prompts(in, "prompts.jsonl", options);
}

void expect_prompts_error(const std::string& text, const std::string& part) {
  expect_error(ErrorKind::data, part, [&] { parse(text); });
}

TEST(Prompts, ReadsIdCategoryTextAndMeta) {
  const PromptSet set =
      parse(R"({"id":"a","category":"code","prompt":"x","source":"web","meta":{"n":1}})"
            "\n\n"
            R"({"prompt":"é","id":null,"category":null})"
            "\r\n"
            R"({"id":17,"category":3,"messages":[{"role":"user","content":"hi"}]})");
  ASSERT_EQ(set.prompts.size(), 3U);
  EXPECT_EQ(set.prompts[0].id, "a");
  EXPECT_EQ(set.prompts[0].category, "code");
  EXPECT_EQ(set.prompts[0].text, "x");
  EXPECT_EQ(set.prompts[0].meta_json, R"({"n":1,"source":"web"})");
  EXPECT_EQ(set.prompts[1].id, "line-3");
  EXPECT_EQ(set.prompts[1].category, "");
  EXPECT_EQ(set.prompts[1].meta_json, "{}");
  EXPECT_EQ(set.prompts[2].id, "17");
  EXPECT_EQ(set.prompts[2].category, "3");
  ASSERT_EQ(set.prompts[2].messages.size(), 1U);
  EXPECT_EQ(set.prompts[2].messages[0].content, "hi");
  EXPECT_EQ(set.prompts[2].text, "");
  EXPECT_EQ(set.prompts[2].line, 4);
}

TEST(Prompts, RenamesKeys) {
  const PromptSet set = parse(R"({"q":"text","key":"k1","kind":"math","id":"other","prompt":1})",
                              {"q", "key", "kind"});
  EXPECT_EQ(set.prompts[0].id, "k1");
  EXPECT_EQ(set.prompts[0].category, "math");
  EXPECT_EQ(set.prompts[0].text, "text");
  EXPECT_EQ(set.prompts[0].meta_json, R"({"id":"other","prompt":1})");
}

TEST(Prompts, NullCountsAsAbsent) {
  const PromptSet set = parse(
      "{\"id\":\"a\",\"prompt\":\"Hi\",\"messages\":null,\"meta\":null}\n"
      "{\"id\":null,\"prompt\":null,\"messages\":[{\"role\":\"user\",\"content\":\"Yo\"}]}");
  ASSERT_EQ(set.prompts.size(), 2U);
  EXPECT_EQ(set.prompts[0].text, "Hi");
  EXPECT_EQ(set.prompts[0].meta_json, "{}");
  EXPECT_EQ(set.prompts[1].id, "line-2");
  EXPECT_EQ(set.prompts[1].messages.size(), 1U);
  EXPECT_EQ(set.prompts[1].meta_json, "{}");
}

TEST(Prompts, NumbersInMetaLoseNoDigit) {
  const auto meta = [](const std::string& number) {
    return parse("{\"prompt\":\"a\",\"meta\":{\"in\":[{\"x\":" + number + "}]}}")
        .prompts[0]
        .meta_json;
  };
  const auto expect_kept = [&](const std::string& number, const std::string& kept) {
    EXPECT_EQ(meta(number), "{\"in\":[{\"x\":" + kept + "}]}");
  };
  for (const std::string number :
       {"9007199254740993", "-9223372036854775808", "18446744073709551615", "18446744073709551616",
        "-9223372036854775809", "123456789012345678901234567890", "0.1234567890123456789",
        "-0.30000000000000000000001", "1e-400", "5e-324", "1.5", "-0.0", "0",
        "10000000000000000000000"}) {
    expect_kept(number, number);
  }
  // Only the form changes, as it always did.
  expect_kept("-0", "0");
  expect_kept("1.50", "1.5");
  expect_kept("1E2", "100.0");
  expect_kept("0e99999999999999999999", "0.0");
  EXPECT_NE(parse(R"({"prompt":"a","x":0.1234567890123456789})").sha256,
            parse(R"({"prompt":"a","x":0.1234567890123456788})").sha256);
}

TEST(Prompts, IdsMayBeIntegersOfAnySize) {
  const PromptSet set = parse(
      "{\"prompt\":\"a\",\"id\":9007199254740993,\"category\":-7}\n"
      "{\"prompt\":\"a\",\"id\":123456789012345678901234567890,\"category\":18446744073709551616}");
  EXPECT_EQ(set.prompts[0].id, "9007199254740993");
  EXPECT_EQ(set.prompts[0].category, "-7");
  EXPECT_EQ(set.prompts[1].id, "123456789012345678901234567890");
  EXPECT_EQ(set.prompts[1].category, "18446744073709551616");
  expect_prompts_error(R"({"prompt":"a","id":0.1234567890123456789})",
                       "a whole number, found 0.1234567890123456789");
  expect_prompts_error(R"({"prompt":"a","id":1e400})", "key \"id\": number out of range");
}

TEST(Prompts, TakesByteOrderMarkAndWindowsLineEnds) {
  const PromptSet set =
      parse("\xEF\xBB\xBF{\"prompt\":\"a\",\"id\":\"x\"}\r\n\r\n{\"prompt\":\"b\"}\r\n");
  ASSERT_EQ(set.prompts.size(), 2U);
  EXPECT_EQ(set.prompts[0].id, "x");
  EXPECT_EQ(set.prompts[1].id, "line-3");
}

TEST(Prompts, HashFollowsContentNotWhiteSpace) {
  const std::string hash = parse(R"({"id":"a","prompt":"x","m":[1,2]})").sha256;
  EXPECT_EQ(hash.size(), 64U);
  EXPECT_EQ(parse("\n\n { \"prompt\" : \"\\u0078\", \"m\":[1, 2],\"id\":\"a\" }\n").sha256, hash);
  EXPECT_NE(parse(R"({"id":"b","prompt":"x","m":[1,2]})").sha256, hash);
  EXPECT_NE(parse(R"({"id":"a","prompt":"y","m":[1,2]})").sha256, hash);
  EXPECT_NE(parse(R"({"id":"a","prompt":"x","m":[1,3]})").sha256, hash);
  EXPECT_NE(parse(R"({"id":"a","prompt":"x","m":[1,2],"category":"c"})").sha256, hash);
  EXPECT_NE(parse(R"({"id":"a","messages":[{"role":"user","content":"x"}],"m":[1,2]})").sha256,
            hash);
  EXPECT_EQ(single_prompt("x").sha256, parse(R"({"prompt":"x"})").sha256);
}

TEST(Prompts, ListsAllFailuresTogether) {
  std::string text;
  for (int i = 0; i < 25; ++i) text += "{\"prompt\":" + std::to_string(i) + "}\n";
  text += R"({"prompt":"fine"})";
  expect_prompts_error(text, "prompts.jsonl:1: ");
  expect_prompts_error(text, "prompts.jsonl:20: ");
  expect_prompts_error(text, "and 5 more");
}

TEST(Prompts, RefusesWhatIsNotAPrompt) {
  expect_prompts_error("", "no prompts");
  expect_prompts_error("\n \n", "no prompts");
  expect_prompts_error("{\"prompt\":\"a\"}\n[1]", "expected an object, found an array");
  expect_prompts_error("{\"prompt\":\"a\"}\n{\"q\":\"b\",\"id\":\"c\",\"r\":1}",
                       "prompts.jsonl:2: key \"prompt\": missing key: found \"q\", \"r\"");
  expect_prompts_error(R"({"prompt":""})", "not empty");
  expect_prompts_error("{\"prompt\":\"a\"}\n{\"prompt\":null}",
                       "prompts.jsonl:2: key \"prompt\": missing key: found null");
  expect_prompts_error(R"({"prompt":"a","messages":[]})", "one of them");
  expect_prompts_error(R"({"messages":[]})", "messages, found an empty array");
  expect_prompts_error(R"({"messages":["x"]})",
                       "key \"messages[0]\": wrong message: expected {\"role\",\"content\"}, found "
                       "\"x\"");
  expect_prompts_error(R"({"messages":[{"from":"human","value":"x"}]})",
                       "found {\"from\",\"value\"}");
  expect_prompts_error(R"({"messages":[{"role":"user","content":5}]})", "messages[0].content");
  expect_prompts_error(R"({"prompt":"a","id":1.5})", "a string");
  expect_prompts_error(R"({"prompt":"a","id":["x"]})", "a string");
  expect_prompts_error(R"({"prompt":"a","id":"x\ty"})", "control character");
  expect_prompts_error(R"({"prompt":"a","id":""})", "empty");
  expect_prompts_error(R"({"prompt":"a","id":")" + std::string(257, 'x') + "\"}", "256");
  expect_prompts_error(R"({"prompt":"a","meta":3})", "an object");
  expect_prompts_error(R"({"prompt":"a","k":1,"meta":{"k":2}})", "\"k\"");
  expect_prompts_error(R"({"prompt":"a","prompt":"b"})", "given twice");
  expect_prompts_error(R"({"prompt":"a","m":{"x":1,"x":2}})", "given twice");
  expect_prompts_error(R"({"prompt":"a"} {"prompt":"b"})", "not valid JSON");
  expect_prompts_error(R"({"prompt":"a","m":{"x":[1,{"y":1e999}]}})",
                       "key \"m.x.y\": number out of range");
  expect_prompts_error("{\"prompt\":\"a\xff\"}", "not valid UTF-8 at byte 13");
  expect_prompts_error("{\"prompt\":\"\\ud800\"}", "not valid JSON");
  expect_prompts_error("{\"id\":\"a\",\"prompt\":\"x\"}\n{\"id\":\"a\",\"prompt\":\"y\"}",
                       "already used in line 1");
  expect_prompts_error("{\"id\":\"line-2\",\"prompt\":\"x\"}\n{\"prompt\":\"y\"}",
                       "prompts.jsonl:2");
}

TEST(Prompts, BoundsDepthAndLength) {
  const auto nested = [](int depth) {
    const auto n = static_cast<std::size_t>(depth);
    return R"({"prompt":"a","m":)" + std::string(n, '[') + std::string(n, ']') + "}";
  };
  EXPECT_EQ(parse(nested(63)).prompts.size(), 1U);
  expect_prompts_error(nested(64), "nested too deeply");
  expect_prompts_error(nested(2'000'000), "nested too deeply");
  expect_prompts_error("{\"prompt\":\"a\"}\n" + std::string(5'000'000, '['), "nested too deeply");
  const std::string fits = R"({"prompt":")" + std::string(16'000'000 - 13, 'x') + "\"}";
  EXPECT_EQ(parse(fits + "\n").prompts[0].text.size(), 16'000'000U - 13);
  expect_prompts_error(fits + " \n{\"prompt\":\"b\"}", "prompts.jsonl:1: line longer than 16 MB");
}

TEST(Prompts, ManyKeysTakeNoQuadraticTime) {
  std::string text = R"({"prompt":"a")";
  for (int i = 0; i < 300'000; ++i) text += ",\"" + std::to_string(i) + "\":0";
  EXPECT_EQ(parse(text + "}").prompts.size(), 1U);
}

TEST(Prompts, ForeignTextCannotForgeMessages) {
  try {
    parse("{\"prompt\":\"a\",\"id\":\"x\\u000aERROR\\u001b[31m\"}\n{\"\\u001b[2J\":1}");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\x1b'), std::string::npos);
  }
}

TEST(Prompts, MissingFileIsAnError) {
  expect_error(ErrorKind::data, "no/such.jsonl",
               [] { read_prompts(std::filesystem::path("no/such.jsonl")); });
  expect_error(ErrorKind::data, "cannot open the prompts: expected a file, found a directory",
               [] { read_prompts(std::filesystem::path("/")); });
  expect_error(ErrorKind::data, "empty", [] { single_prompt(""); });
  expect_error(ErrorKind::usage, "must differ", [] { parse("{}", {"id", "id", "category"}); });
}

TEST(Prompts, ShardsAreConsecutiveAndComplete) {
  for (const std::size_t n : {0U, 1U, 5U, 80U, 81U}) {
    for (const int count : {1, 2, 3, 7, 100}) {
      std::size_t next = 0;
      for (int i = 0; i < count; ++i) {
        const PromptRange range = select_prompts(n, 0, {i, count});
        EXPECT_EQ(range.begin, next);
        EXPECT_LE(range.end - range.begin, n / static_cast<std::size_t>(count) + 1);
        next = range.end;
      }
      EXPECT_EQ(next, n);
    }
  }
  EXPECT_EQ(select_prompts(80, 10, {1, 2}).begin, 5U);
  EXPECT_EQ(select_prompts(80, 10, {1, 2}).end, 10U);
  EXPECT_EQ(select_prompts(8, 10, {0, 1}).end, 8U);
  expect_error(ErrorKind::usage, "2/2", [] { select_prompts(8, 0, {2, 2}); });
  expect_error(ErrorKind::usage, "-1/2", [] { select_prompts(8, 0, {-1, 2}); });
}

}  // namespace
}  // namespace moexray
