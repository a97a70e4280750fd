#include "cli.h"

#include <gtest/gtest.h>

#include "moexray/core/error.h"
#include "support/expect_error.h"

namespace moexray::app {
namespace {

using test::expect_error;

std::vector<Command> table() {
  return {
      {.name = "count",
       .summary = "counts",
       .description = "Counts things.",
       .positionals =
           {{.name = "FILES", .help = "what to count", .required = true, .repeated = true}},
       .flags = {{.name = "-o,--output",
                  .value_name = "DIR",
                  .default_value = "out",
                  .help = "where to"},
                 {.name = "--folds",
                  .type = FlagType::integer,
                  .value_name = "N",
                  .default_value = "5",
                  .help = "folds",
                  .min = 2,
                  .max = 100},
                 {.name = "--scale", .type = FlagType::number, .help = "scale", .min = 0},
                 {.name = "--form",
                  .type = FlagType::choice,
                  .help = "form",
                  .choices = {"flat", "round"}},
                 {.name = "--text", .help = "a text"},
                 {.name = "--parts", .type = FlagType::texts, .value_name = "DIR", .help = "parts"},
                 {.name = "-s,--sets",
                  .type = FlagType::texts,
                  .value_name = "DIR",
                  .help = "sets",
                  .repeated = true},
                 {.name = "--force", .type = FlagType::on_off, .help = "replace"}},
       .examples = {}},
      {.name = "one",
       .summary = "takes one file",
       .description = "One.",
       .positionals = {{.name = "FILE", .help = "the file", .required = false}},
       .flags = {},
       .examples = {}},
      {.name = "none",
       .summary = "takes nothing",
       .description = "None.",
       .positionals = {},
       .flags = {},
       .examples = {}},
  };
}

Arguments parse(const std::vector<std::string>& words) {
  const auto commands = table();
  return CommandLine::parse(words, commands).arguments;
}

void expect_refused(const std::vector<std::string>& words, std::string_view part) {
  expect_error(ErrorKind::usage, part, [&] { parse(words); });
}

TEST(CommandLine, SplitsFlagsValuesAndPositionals) {
  const Arguments arguments = parse({"count", "a", "-o", "dir", "--folds=7", "b", "--force"});
  EXPECT_EQ(arguments.text("output"), "dir");
  EXPECT_EQ(arguments.integer("folds"), 7);
  EXPECT_TRUE(arguments.on("force"));
  EXPECT_EQ(arguments.positionals(), (std::vector<std::string>{"a", "b"}));
}

TEST(CommandLine, DefaultsStandInForFlagsNotGiven) {
  const Arguments arguments = parse({"count", "a"});
  EXPECT_EQ(arguments.text("output"), "out");
  EXPECT_EQ(arguments.integer("folds"), 5);
  EXPECT_FALSE(arguments.given("folds"));
  EXPECT_TRUE(arguments.has("folds"));
  EXPECT_FALSE(arguments.has("scale"));
  EXPECT_FALSE(arguments.on("force"));
}

TEST(CommandLine, TakesWordsAsTheyAre) {
  // Words that a parser may take for lists, options or numbers.
  EXPECT_EQ(parse({"count", "[a,b]"}).positionals(), (std::vector<std::string>{"[a,b]"}));
  EXPECT_EQ(parse({"count", "a,b", "-"}).positionals(), (std::vector<std::string>{"a,b", "-"}));
  EXPECT_EQ(parse({"count", "--", "--force"}).positionals(), (std::vector<std::string>{"--force"}));
  EXPECT_EQ(parse({"count", "a", "--text", "[x, y]"}).text("text"), "[x, y]");
  EXPECT_EQ(parse({"count", "a", "--text", "--folds"}).text("text"), "--folds");
  EXPECT_EQ(parse({"count", "a", "--text=-5"}).text("text"), "-5");
  EXPECT_EQ(parse({"count", "a", "--text", "two\nlines \"quoted\""}).text("text"),
            "two\nlines \"quoted\"");
  EXPECT_EQ(parse({"count", "a", "--text", "a=b"}).text("text"), "a=b");
}

TEST(CommandLine, AFlagOfSeveralTextsTakesAllUpToTheNextFlag) {
  using Texts = std::vector<std::string>;
  const Arguments arguments =
      parse({"count", "a", "b", "--parts", "c", "[d,e]", "-", "--text", "--parts", "f"});
  EXPECT_EQ(arguments.texts("parts"), (Texts{"c", "[d,e]", "-"}));
  EXPECT_EQ(arguments.text("text"), "--parts");
  EXPECT_EQ(arguments.positionals(), (Texts{"a", "b", "f"}));
  EXPECT_EQ(parse({"count", "--parts=c", "d", "--force", "a"}).texts("parts"), (Texts{"c", "d"}));
  EXPECT_EQ(parse({"count", "--parts", "c", "--parts", "d", "--", "a"}).texts("parts"),
            (Texts{"c", "d"}));
  EXPECT_EQ(parse({"count", "a", "--text", "x"}).texts("text"), Texts{"x"});
  // What each time gives together belongs together.
  using Groups = std::vector<Texts>;
  const Arguments sets = parse(
      {"count", "a", "--sets", "b", "c", "--sets=d", "--force", "-s", "e", "f", "--text", "g"});
  EXPECT_EQ(sets.groups("sets"), (Groups{{"b", "c"}, {"d"}, {"e", "f"}}));
  EXPECT_EQ(sets.texts("sets"), (Texts{"b", "c", "d", "e", "f"}));
  EXPECT_EQ(parse({"count", "a", "--parts", "c", "--parts", "d"}).groups("parts"),
            (Groups{{"c", "d"}}));
  EXPECT_FALSE(parse({"count", "a"}).has("parts"));
  expect_refused({"count", "a", "--parts"}, "--parts: a value is missing");
  expect_refused({"count", "a", "--parts", "c", ""}, "--parts");
  expect_refused({"count", "--parts", "c", "a"}, "missing argument FILES");
  expect_refused({"count", "a", "--text", "b", "--text", "c"}, "--text: given more than once");
}

TEST(CommandLine, ChecksNumbersWhole) {
  for (const char* value :
       {"1x", "", " 7", "7 ", "0x10", "7.0", "99999999999999999999", "1", "101", "--", "seven"}) {
    SCOPED_TRACE(value);
    expect_refused({"count", "a", std::string("--folds=") + value}, "folds");
  }
  EXPECT_EQ(parse({"count", "a", "--folds", "100"}).integer("folds"), 100);
  for (const char* value : {"nan", "inf", "1e999", "-0.5", "1,5", "0.5s"}) {
    SCOPED_TRACE(value);
    expect_refused({"count", "a", std::string("--scale=") + value}, "--scale");
  }
  EXPECT_DOUBLE_EQ(parse({"count", "a", "--scale", "2.5e-1"}).number("scale"), 0.25);
}

TEST(CommandLine, NamesFlagExpectedAndFound) {
  expect_refused({"count", "a", "--folds", "x"},
                 "--folds: wrong value: expected an integer from 2 to 100, found \"x\"");
  expect_refused({"count", "a", "--form", "oval"},
                 "--form: wrong value: expected one of flat, round, found \"oval\"");
}

TEST(CommandLine, RefusesWhatTheTableDoesNotHave) {
  expect_refused({"count"}, "missing argument FILES");
  expect_refused({"count", "a", "--fold", "3"}, "did you mean --folds?");
  expect_refused({"count", "a", "-z"}, "unknown flag");
  expect_refused({"count", "a", "--text"}, "--text: a value is missing");
  expect_refused({"count", "a", "--folds", "3", "--folds", "4"}, "--folds: given more than once");
  expect_refused({"count", "a", "--force=no"}, "force");
  expect_refused({"one", "a", "b"}, "unexpected argument \"b\"");
  expect_refused({"none", "a"}, "unexpected argument \"a\"");
  expect_refused({"cuont"}, "did you mean \"count\"?");
  expect_refused({}, "expected a command");
}

TEST(CommandLine, HelpAndVersionRunNothing) {
  const auto commands = table();
  for (const auto& words : std::vector<std::vector<std::string>>{{"--help"},
                                                                 {"--version"},
                                                                 {"help"},
                                                                 {"help", "one"},
                                                                 {"count", "--help"},
                                                                 {"count", "--bogus", "-h"}}) {
    const Invocation invocation = CommandLine::parse(words, commands);
    EXPECT_EQ(invocation.command, nullptr);
    EXPECT_FALSE(invocation.text.empty());
  }
}

TEST(ClosestName, SuggestsWhatIsNear) {
  const std::vector<std::string> names = {"trace", "classify", "similarity"};
  EXPECT_EQ(closest_name("trase", names), "trace");
  EXPECT_EQ(closest_name("clasify", names), "classify");
  const std::vector<std::string> alike = {"--quick", "--quiet"};
  EXPECT_EQ(closest_name("--quite", alike), "--quiet");
  EXPECT_EQ(closest_name("--quikc", alike), "--quick");
  EXPECT_EQ(closest_name("--uqick", alike), "--quick");
  EXPECT_EQ(closest_name("simil", names), "similarity");
  EXPECT_EQ(closest_name("xyz", names), "");
  EXPECT_EQ(closest_name(std::string(100'000, 'x'), names), "");
}

}  // namespace
}  // namespace moexray::app
