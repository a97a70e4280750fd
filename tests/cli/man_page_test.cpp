#include "man_page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "cli/run_command.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::app {
namespace {

namespace fs = std::filesystem;
using test::CommandResult;
using test::file_content;
using test::run_command;
using test::run_moexray;

TEST(ManPage, TextIsWhatRoffShows) {
  EXPECT_EQ(roff_text("plain text"), "plain text");
  EXPECT_EQ(roff_text(".TH a"), "\\&.TH a");
  EXPECT_EQ(roff_text("a.b\n.c\n'd"), "a.b\n\\&.c\n\\&\\[aq]d");
  EXPECT_EQ(roff_text("--flag"), "\\-\\-flag");
  EXPECT_EQ(roff_text("\\n \"q\" `x` ~/ ^"), "\\en \\[dq]q\\[dq] \\[ga]x\\[ga] \\[ti]/ \\[ha]");
  EXPECT_EQ(roff_text("L × E… 🦊"), "L \\[u00D7] E\\[u2026] \\[u1F98A]");
}

TEST(ManPage, SaysWhatTheHelpSays) {
  for (const Command& command : command_table()) {
    SCOPED_TRACE(command.name);
    const CommandResult result = run_moexray({"man", command.name});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(result.out, command_man_page(command));
    EXPECT_TRUE(std::all_of(result.out.begin(), result.out.end(),
                            [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
    for (const Flag& flag : command.flags) {
      EXPECT_NE(result.out.find(roff_text("--" + flag.key())), std::string::npos) << flag.name;
    }
    EXPECT_NE(program_man_page(command_table()).find(roff_text(command.summary).substr(0, 30)),
              std::string::npos);
  }
  EXPECT_EQ(run_moexray({"man"}).out, program_man_page(command_table()));
}

TEST(ManPage, WritesAllPagesAndNoOthers) {
  const test::TemporaryDirectory place;
  const fs::path pages = place.path() / "man1";
  for (int i = 0; i < 2; ++i) {  // a second time over its own
    EXPECT_EQ(run_moexray({"man", "-o", pages}).exit_code, 0);
  }
  const auto files = test::directory_contents(pages);
  EXPECT_EQ(files.size(), command_table().size() + 1);
  for (const Command& command : command_table()) {
    EXPECT_EQ(files.at(man_page_name(command)), command_man_page(command));
  }
  // What a user has written stays.
  std::ofstream(pages / "moexray-trace.1") << "mine\n";
  const CommandResult refused = run_moexray({"man", "-o", pages});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("moexray-trace.1"), std::string::npos) << refused.err;
  EXPECT_EQ(file_content(pages / "moexray-trace.1"), "mine\n");
}

TEST(ManPage, RefusesWhatIsNoCommand) {
  for (const auto& [words, part] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"man", "similarty"}, "did you mean \"similarity\"?"},
           {{"man", "trace", "-o", "x"}, "no COMMAND goes with it"}}) {
    const CommandResult result = run_moexray(words);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  }
}

TEST(ManPage, IsGoodRoff) {
  if (run_command({"sh", "-c", "command -v mandoc"}).exit_code != 0) {
    GTEST_SKIP() << "mandoc is not installed";
  }
  const test::TemporaryDirectory place;
  EXPECT_EQ(run_moexray({"man", "-o", place.path()}).exit_code, 0);
  for (const auto& entry : fs::directory_iterator(place.path())) {
    const CommandResult lint = run_command({"mandoc", "-T", "lint", "-W", "warning", entry.path()});
    EXPECT_EQ(lint.exit_code, 0) << lint.out << lint.err;
  }
  // As a reader sees it, escapes and all; bold characters are struck over themselves.
  std::string shown = run_command({"mandoc", "-T", "utf8", "-O", "width=200",
                                   place.path() / "moexray-completions.1"})
                          .out;
  for (std::size_t at = shown.find('\b'); at != std::string::npos; at = shown.find('\b')) {
    shown.erase(at - 1, 2);
  }
  EXPECT_NE(shown.find("moexray completions fish > ~/.config/fish"), std::string::npos) << shown;
}

}  // namespace
}  // namespace moexray::app
