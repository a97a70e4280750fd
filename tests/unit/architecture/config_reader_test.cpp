#include "moexray/architecture/config_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/expect_error.h"

namespace moexray {
namespace {

using test::expect_error;

const ConfigReader& reader() {
  static const ConfigReader config(
      R"({"n": 7, "none": null, "x": 0.5, "on": true, "kinds": ["a", "b"], "mixed": ["a", 1],
          "ids": [3, null, 5], "part": {"n": 2, "kinds": []}})",
      "config.json");
  return config;
}

TEST(ConfigReader, GivesWhatIsThere) {
  EXPECT_EQ(reader().integer("n", 1, 7), 7);
  EXPECT_EQ(reader().integer_or("none", 4, 1, 7), 4);
  EXPECT_EQ(reader().integer_or("n", 4, 1, 7), 7);
  EXPECT_DOUBLE_EQ(reader().number("x", 2), 0.5);
  EXPECT_DOUBLE_EQ(reader().number("absent", 2), 2);
  EXPECT_TRUE(reader().boolean("on", false));
  EXPECT_TRUE(reader().boolean("none", true));
  EXPECT_EQ(reader().text("none"), "");
  EXPECT_EQ(reader().texts("kinds", 2), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(reader().texts_if_any("kinds"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(reader().texts_if_any("mixed").empty());
  EXPECT_EQ(reader().whole_numbers("ids", 3), (std::vector<std::int64_t>{3, 5}));
  EXPECT_EQ(reader().whole_number("none"), std::nullopt);
  EXPECT_TRUE(reader().has("part"));
  EXPECT_FALSE(reader().has("none"));
  EXPECT_EQ(reader().found("part"), "an object");
  EXPECT_EQ(reader().found("none"), "");
}

// A section keeps the document alive.
TEST(ConfigReader, ReadsSections) {
  const ConfigReader part = ConfigReader(R"({"part": {"n": 2}})", "f").section("part");
  EXPECT_EQ(part.integer("n", 1, 2), 2);
  expect_error(ErrorKind::data,
               "f: key \"part\": key \"n\": wrong value: expected an integer "
               "from 1 to 1, found 2",
               [&] { part.integer("n", 1, 1); });
}

TEST(ConfigReader, NamesFileKeyExpectedAndFound) {
  const auto refuse = [&](std::string_view part, auto read) {
    expect_error(ErrorKind::data, part, [&] { read(); });
  };
  refuse("config.json: key \"absent\": missing", [] { reader().integer("absent", 1, 2); });
  refuse("config.json: key \"none\": missing: found null", [] { reader().integer("none", 1, 2); });
  refuse("key \"on\": wrong value: expected an integer from 1 to 2, found true",
         [] { reader().integer("on", 1, 2); });
  refuse("key \"n\": wrong type: expected a string, found 7", [] { reader().text("n"); });
  refuse("key \"n\": wrong type: expected true or false, found 7",
         [] { reader().boolean("n", false); });
  refuse("key \"kinds\": wrong length: expected a list of 3 strings, found 2",
         [] { reader().texts("kinds", 3); });
  refuse("key \"mixed\": wrong type: expected a list of 2 strings, found 1",
         [] { reader().texts("mixed", 2); });
  refuse("key \"n\": wrong type: expected a list of 1 strings, found 7",
         [] { reader().texts("n", 1); });
  refuse("key \"n\": wrong type: expected an object, found 7", [] { reader().section("n"); });
  refuse("key \"n\": contradicts \"x\": expected 1, found 7",
         [] { reader().fail("n", "contradicts \"x\"", "1", reader().found("n")); });
  refuse("f: wrong type: expected an object, found an array", [] { ConfigReader("[]", "f"); });
  refuse("f:2:1: not valid JSON", [] { ConfigReader("{\n", "f"); });
}

}  // namespace
}  // namespace moexray
