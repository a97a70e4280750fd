#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>

#include "analyses.h"
#include "cli.h"
#include "cli/run_command.h"
#include "command.h"
#include "help_text.h"
#include "moexray/core/error.h"
#include "moexray/core/version.h"
#include "moexray/report/table.h"
#include "support/files.h"

namespace moexray::app {
namespace {

using test::CommandResult;
using test::run_moexray;

std::size_t count_lines(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// Command lines of the help that do not fit are broken as shells allow it.
std::string unbroken(std::string text) {
  constexpr std::string_view broken = " \\\n    ";
  for (std::size_t at = text.find(broken); at != std::string::npos; at = text.find(broken)) {
    text.replace(at, broken.size(), " ");
  }
  return text;
}

// What stands before the first empty line, as one line.
std::string first_paragraph(std::string text) {
  text.resize(std::min(text.find("\n\n"), text.size()));
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string help_in_columns(const std::vector<std::string>& words, int n_columns) {
  std::vector<std::string> all{"env", "COLUMNS=" + std::to_string(n_columns),
                               test::program_path().string()};
  all.insert(all.end(), words.begin(), words.end());
  const CommandResult result = test::run_command(all);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.out;
}

std::size_t longest_line(const std::string& text) {
  std::size_t longest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    longest = std::max(longest, report::display_width(line));
  }
  return longest;
}

void expect_usage_error(const std::vector<std::string>& words, std::string_view part) {
  const CommandResult result = run_moexray(words);
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("\nTry: moexray"), std::string::npos) << result.err;
  EXPECT_EQ(count_lines(result.err), 2U) << result.err;
}

TEST(CommandLine, PrintsItsVersion) {
  for (const char* flag : {"--version", "-V"}) {
    const CommandResult result = run_moexray({flag});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out, "moexray " + std::string(version()) + "\n");
    EXPECT_EQ(result.err, "");
  }
}

TEST(CommandLine, HelpNamesEveryCommand) {
  const CommandResult result = run_moexray({"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  for (const Command& command : command_table()) {
    EXPECT_NE(result.out.find("\n  " + command.name + " "), std::string::npos) << command.name;
    EXPECT_NE(result.out.find(command.summary.substr(0, 20)), std::string::npos) << command.name;
  }
}

TEST(CommandLine, EveryCommandHasCompleteHelp) {
  for (const Command& command : command_table()) {
    SCOPED_TRACE(command.name);
    const CommandResult result = run_moexray({command.name, "--help"});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
    EXPECT_TRUE(first_paragraph(result.out) == "moexray " + command.name + ": " + command.summary)
        << result.out;
    for (const char* part : {"\nUsage: moexray ", "\nOptions:\n", "\nExamples:\n", "--quiet"}) {
      EXPECT_NE(result.out.find(part), std::string::npos) << part;
    }
    for (const Flag& flag : command.flags) {
      EXPECT_NE(result.out.find("--" + flag.key()), std::string::npos) << flag.name;
      EXPECT_FALSE(flag.help.empty()) << flag.name;
    }
    for (const Example& example : command.examples) {
      EXPECT_NE(unbroken(result.out).find(example.command_line), std::string::npos);
    }
    EXPECT_EQ(run_moexray({command.name, "-h"}).out, result.out);
    EXPECT_EQ(run_moexray({"help", command.name}).out, result.out);
    // Help is given whatever else is wrong with the line.
    EXPECT_EQ(run_moexray({command.name, "--no-such-flag", "--help"}).out, result.out);
  }
}

TEST(CommandLine, HelpFitsTheTerminal) {
  for (const int n_columns : {50, 60, 80, 100}) {
    SCOPED_TRACE(n_columns);
    const auto width = static_cast<std::size_t>(n_columns);
    EXPECT_LE(longest_line(help_in_columns({"--help"}, n_columns)), width);
    for (const Command& command : command_table()) {
      EXPECT_LE(longest_line(help_in_columns({command.name, "--help"}, n_columns)), width)
          << command.name;
    }
  }
  // Wide terminals get lines that can still be read.
  EXPECT_LE(longest_line(help_in_columns({"analyze", "--help"}, 300)), 100U);
  EXPECT_GT(longest_line(help_in_columns({"analyze", "--help"}, 300)), 90U);
  const std::string narrow = help_in_columns({"analyze", "--help"}, 50);
  for (const Flag& flag : analyze_command(analyses()).flags) {
    EXPECT_NE(narrow.find("--" + flag.key()), std::string::npos) << flag.name;
  }
}

TEST(CommandLine, HelpGroupsTheCommands) {
  const std::string help = run_moexray({"--help"}).out;
  std::size_t last = 0;
  for (const CommandGroup group : command_groups()) {
    const std::size_t at = help.find("\n" + std::string(title_of(group)) + ":\n");
    ASSERT_NE(at, std::string::npos) << title_of(group);
    EXPECT_GT(at, last);
    last = at;
  }
  for (const Command& command : command_table()) {
    const std::size_t title = help.find(title_of(command.group));
    const std::size_t row = help.find("\n  " + command.name + " ");
    EXPECT_LT(title, row) << command.name;
    EXPECT_EQ(help.substr(title, row - title).find("\n\n"), std::string::npos)
        << command.name << " stands in another group";
  }
}

TEST(CommandLine, TheReadmeHasARowForEach) {
  const std::string readme =
      test::file_content(std::filesystem::path(MOEXRAY_TEST_DATA) / "../../README.md");
  for (const Command& command : command_table()) {
    const std::string row = "\n| `moexray " + command.name;
    EXPECT_TRUE(readme.find(row + " ") != std::string::npos ||
                readme.find(row + "`") != std::string::npos)
        << command.name;
  }
}

TEST(CommandLine, TheTableIsConsistent) {
  std::set<std::string> names;
  for (const Command& command : command_table()) {
    SCOPED_TRACE(command.name);
    EXPECT_TRUE(names.insert(command.name).second);
    EXPECT_NE(command.run, nullptr);
    EXPECT_FALSE(command.description.empty());
    EXPECT_FALSE(command.summary.empty());
    EXPECT_EQ(command.summary.find('\n'), std::string::npos);
    EXPECT_FALSE(command.examples.empty());
    std::set<std::string> keys = {"quiet", "help"};
    for (const Flag& flag : command.flags) {
      EXPECT_NE(flag.name.find("--"), std::string::npos) << flag.name;
      EXPECT_TRUE(keys.insert(flag.key()).second) << flag.name << " is there twice";
      if (!flag.default_value.empty()) {
        EXPECT_NO_THROW(check_flag_value(flag, flag.default_value)) << flag.name;
      }
      EXPECT_EQ(flag.choices.empty(), flag.type != FlagType::choice) << flag.name;
    }
    // Each example is a line that the parser takes, for this command.
    for (const Example& example : command.examples) {
      EXPECT_TRUE(example.command_line.find("moexray " + command.name) != std::string::npos)
          << example.command_line;
      EXPECT_FALSE(example.explanation.empty());
    }
  }
}

TEST(CommandLine, WrongUsageEndsWithTwo) {
  expect_usage_error({}, "expected a command");
  expect_usage_error({"no-such-command"}, "unknown command \"no-such-command\"");
  expect_usage_error({"--quiet"}, "expected a command before \"--quiet\"");
  expect_usage_error({""}, "unknown command \"\"");
  expect_usage_error({"\x1b[31m"}, "unknown command \"\\x1b[31m\"");
}

TEST(CommandLine, EveryCommandRefusesUnknownFlags) {
  for (const Command& command : command_table()) {
    SCOPED_TRACE(command.name);
    expect_usage_error({command.name, "--quite"}, "did you mean --quiet?");
    expect_usage_error({command.name, "--zzzzzzzz"}, "unknown flag \"--zzzzzzzz\"");
    expect_usage_error({command.name, "--quiet=yes"}, "quiet");
  }
}

TEST(CommandLine, AClosedPipeEndsItQuietly) {
  const CommandResult result =
      run_moexray({"--help"}, {.input = {}, .working_directory = {}, .close_stdout = true});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "");
}

TEST(CommandLine, AFullDiskIsAnError) {
  const CommandResult result = test::run_command(
      {"/bin/sh", "-c", "exec \"$0\" --help > /dev/full", test::program_path().string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "moexray: cannot write to standard output: No space left on device\n");
}

TEST(CommandLine, ClosedStandardOutputIsAnError) {
  const CommandResult result =
      test::run_command({"/bin/sh", "-c", "exec \"$0\" --help >&-", test::program_path().string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("cannot write to standard output"), std::string::npos) << result.err;
}

TEST(CommandLine, ClosedStandardErrorChangesNoExitCode) {
  for (const char* redirection : {"2>&-", "2>/dev/full"}) {
    const std::string line = std::string("exec \"$0\" no-such-command ") + redirection;
    EXPECT_EQ(test::run_command({"/bin/sh", "-c", line, test::program_path().string()}).exit_code,
              2);
  }
}

TEST(CommandLine, StartsWithoutTheHeavyLibraries) {
  const CommandResult result = test::run_command({"ldd", test::program_path().string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("libc.so"), std::string::npos);
  EXPECT_EQ(result.out.find("torch"), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("sentencepiece"), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("protobuf"), std::string::npos) << result.out;
}

}  // namespace
}  // namespace moexray::app
