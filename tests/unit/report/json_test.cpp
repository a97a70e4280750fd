#include "moexray/report/json.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "moexray/core/random.h"
#include "moexray/report/number.h"

namespace moexray::report {
namespace {

TEST(Json, WritesAStableLayout) {
  Json json = Json::object({{"name", "x"}, {"n", 3}, {"on", true}, {"none", Json()}});
  json.set("numbers", Json::array(std::vector<double>{0.1, 2, 1e-20}));
  json.set("rows", Json::Array{Json::array(std::vector<int>{1, 2}), Json::Array{}});
  json.set("empty", Json::object());
  EXPECT_EQ(json.dump(),
            "{\n  \"name\": \"x\",\n  \"n\": 3,\n  \"on\": true,\n  \"none\": null,\n"
            "  \"numbers\": [0.1, 2, 1e-20],\n  \"rows\": [\n    [1, 2],\n    []\n  ],\n"
            "  \"empty\": {}\n}\n");
}

TEST(Json, UndefinedNumbersAreNull) {
  for (const double value : {std::nan(""), std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(Json(value).dump(), "null\n");
  }
}

TEST(Json, EveryDoubleReadsBackTheSame) {
  RandomStream random(1);
  int n = 0;
  while (n < 20000) {
    const auto value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    ++n;
    ASSERT_EQ(nlohmann::json::parse(Json(value).dump()).get<double>(), value);
  }
  EXPECT_EQ(shortest(0.1), "0.1");
  EXPECT_EQ(shortest(1.0 / 3), "0.3333333333333333");
}

TEST(Json, ReadsItsValuesBack) {
  const Json json = Json::object({{"n", 3}, {"x", 0.5}, {"name", "a"}, {"none", Json()}});
  EXPECT_EQ(json.find("n")->number(), 3);
  EXPECT_EQ(json.find("x")->number(), 0.5);
  EXPECT_TRUE(std::isnan(json.find("name")->number()));
  EXPECT_EQ(json.find("name")->text(), "a");
  EXPECT_EQ(json.find("n")->text(), "");
  EXPECT_TRUE(json.find("none")->is_null());
  EXPECT_FALSE(json.is_null());
  EXPECT_EQ(json.find("other"), nullptr);
  EXPECT_EQ(Json().find("n"), nullptr);
  const Json array = Json::array(std::vector<int>{1, 2});
  ASSERT_EQ(array.elements().size(), 2U);
  EXPECT_EQ(array.elements()[1].number(), 2);
  EXPECT_TRUE(json.elements().empty());
}

TEST(Json, EscapesForeignText) {
  const std::string text =
      "quote \" slash \\ tab \t null " + std::string(1, '\0') + " del \x7F é 漢 🙂";
  EXPECT_EQ(nlohmann::json::parse(Json(text).dump()).get<std::string>(), text);
  EXPECT_EQ(Json("a\xFF\xC3").dump(), "\"a\xEF\xBF\xBD\xEF\xBF\xBD\"\n");
  EXPECT_EQ(Json("\x1b[2J").dump(), "\"\\u001b[2J\"\n");
}

TEST(Number, FixedIsForPeople) {
  EXPECT_EQ(fixed(0.84349, 4), "0.8435");
  EXPECT_EQ(fixed(-0.001, 2), "0.00");
  EXPECT_EQ(fixed(-0.01, 2), "-0.01");
  EXPECT_EQ(fixed(std::nan(""), 2), "n/a");
}

}  // namespace
}  // namespace moexray::report
