#include "core/json/json.h"

#include <gtest/gtest.h>

#include <string>

#include "core/json/section.h"
#include "support/expect_error.h"

namespace moexray {
namespace {

using nlohmann::json;
using test::expect_error;

TEST(Json, NamesTheLineAndTheByteOfWhatIsNoJson) {
  const auto refuse = [](std::string_view part, std::string_view text) {
    expect_error(ErrorKind::data, part, [&] { parse_json(text, "f"); });
  };
  refuse("f:3:3: not valid JSON: found \"  }\"", "{\n\"a\":1,\n  }");
  refuse("f: not valid JSON at byte 6: found \"{\"a\":}\"", "{\"a\":}");
  refuse("f: not valid JSON at byte 1: found nothing", "");
  refuse("f:2:6: not valid JSON: not valid UTF-8", "{\n\"a\":\"\xFF\"}");
  refuse("f: not valid JSON", R"({"a":1} {"b":2})");
  refuse("f: JSON nested too deeply: expected at most 64 levels", std::string(65, '['));
  refuse("f: JSON nested too deeply", std::string(5'000'000, '['));
  refuse("f: duplicate key: found \"x\" given twice", R"({"m":{"x":1,"x":2}})");
  refuse("f: key \"m.x\": number out of range: expected a magnitude below 1.8e308, found 1e400",
         R"({"m":{"x":[1,1e400]}})");
}

TEST(Json, GoesAsDeepAsItsLimit) {
  EXPECT_NO_THROW(parse_json(std::string(64, '[') + std::string(64, ']'), "f"));
}

TEST(Json, LetsTheLastOfEqualKeysCountWhereToldTo) {
  const JsonRules rules{.exact_numbers = false, .unique_keys = false};
  EXPECT_EQ(parse_json(R"({"a":{"b":1},"c":2,"a":[3]})", "f", rules), (json{{"a", {3}}, {"c", 2}}));
}

TEST(Json, KeepsEveryDigitWhereToldTo) {
  const std::string text =
      R"({"big":12345678901234567890123,"fine":0.1234567890123456789,"half":0.5,"small":1e-400})";
  EXPECT_EQ(json_text(parse_json(text, "f", {.exact_numbers = true})), text);
  EXPECT_EQ(kept_number(parse_json("1e-400", "f", {.exact_numbers = true})), "1e-400");
  EXPECT_TRUE(kept_number(parse_json("0.5", "f", {.exact_numbers = true})).empty());
  EXPECT_DOUBLE_EQ(parse_json(text, "f")["fine"].get<double>(), 0.1234567890123456789);
}

TEST(Json, ListsKeysInTheirOrder) {
  const std::string text = R"({"z":1,"a":{"y":1,"b":[{"no":1}],"y":2},"z":3})";
  EXPECT_EQ(json_keys(text, "f"), (std::vector<std::string>{"z", "a"}));
  EXPECT_EQ(json_keys(text, "f", "a"), (std::vector<std::string>{"y", "b"}));
  EXPECT_TRUE(json_keys(text, "f", "nothing").empty());
  expect_error(ErrorKind::data, "f: not valid JSON", [] { json_keys("{", "f"); });
}

TEST(JsonSection, NamesKeysAndValues) {
  const json document = parse_json(
      R"({"n":7,"big":18446744073709551615,"list":[1,null,-2],"texts":["a","b"],"in":{"x":"y"}})",
      "f");
  const JsonSection section(document, "f");
  EXPECT_EQ(section.integer("n", 1, 7), 7);
  EXPECT_EQ(section.whole_numbers("list", 3), (std::vector<std::int64_t>{1, -2}));
  EXPECT_EQ(section.whole_numbers("n", 1), std::vector<std::int64_t>{7});
  EXPECT_EQ(section.whole_number("big"), INT64_MAX);
  EXPECT_EQ(section.texts("texts", 2), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(section.section("in").text("x"), "y");
  const auto refuse = [&](std::string_view part, auto read) {
    expect_error(ErrorKind::data, part, [&] { read(); });
  };
  refuse("f: key \"n\": wrong value: expected an integer from 1 to 6, found 7",
         [&] { section.integer("n", 1, 6); });
  refuse("f: key \"m\": missing", [&] { section.integer("m", 1, 6); });
  refuse("f: key \"list\": too many ids: expected at most 2, found 3",
         [&] { section.whole_numbers("list", 2); });
  refuse("f: key \"texts\": wrong length: expected a list of 3 strings, found 2",
         [&] { section.texts("texts", 3); });
  refuse("f: key \"list\": wrong type: expected a list of 3 strings, found 1",
         [&] { section.texts("list", 3); });
  refuse("f: key \"in\": key \"x\": wrong type: expected a number, found \"y\"",
         [&] { section.section("in").number("x", 0); });
}

}  // namespace
}  // namespace moexray
