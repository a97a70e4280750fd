#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "cli/run_command.h"
#include "command.h"
#include "support/temporary_directory.h"

namespace moexray::app {
namespace {

using test::CommandResult;
using test::run_command;
using test::run_moexray;

std::string script_of(const std::string& shell) {
  const CommandResult result = run_moexray({"completions", shell});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  return result.out;
}

bool is_installed(const std::string& program) {
  return run_command({"sh", "-c", "command -v " + program}).exit_code == 0;
}

// What bash offers for the last of these words.
std::set<std::string> offered(const std::vector<std::string>& words) {
  const test::TemporaryDirectory place;
  std::filesystem::create_directory(place.path() / "traces one");
  std::ofstream(place.path() / "prompts.jsonl") << "{}\n";
  std::string line = script_of("bash") + "COMP_WORDS=(moexray";
  for (const std::string& word : words) line += " '" + word + "'";
  line += ")\nCOMP_CWORD=" + std::to_string(words.size()) +
          "\n_moexray\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
  const CommandResult result =
      run_command({"bash", "-c", line}, {.input = {}, .working_directory = place.path()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  std::istringstream lines(result.out);
  std::set<std::string> found;
  for (std::string reply; std::getline(lines, reply);) {
    if (!reply.empty()) found.insert(reply);
  }
  return found;
}

TEST(BashCompletion, OffersEveryCommand) {
  const std::set<std::string> found = offered({""});
  for (const Command& command : command_table()) {
    EXPECT_TRUE(found.contains(command.name)) << command.name;
  }
  EXPECT_EQ(offered({"sim"}), std::set<std::string>{"similarity"});
  EXPECT_EQ(offered({"help", "sim"}), std::set<std::string>{"similarity"});
}

TEST(BashCompletion, OffersEveryFlagOfEveryCommand) {
  for (const Command& command : command_table()) {
    SCOPED_TRACE(command.name);
    std::set<std::string> expected{"--quiet", "--help"};
    for (const Flag& flag : command.flags) expected.insert("--" + flag.key());
    EXPECT_EQ(offered({command.name, "--"}), expected);
  }
}

TEST(BashCompletion, OffersValuesAndFiles) {
  EXPECT_EQ(offered({"similarity", "--tokens", ""}),
            (std::set<std::string>{"all", "prompt", "generation"}));
  EXPECT_EQ(offered({"similarity", "--tokens", "=", "pro"}), std::set<std::string>{"prompt"});
  EXPECT_EQ(offered({"similarity", "--tokens", "="}),
            (std::set<std::string>{"all", "prompt", "generation"}));
  EXPECT_EQ(offered({"similarity", ""}), std::set<std::string>{"traces one"});
  EXPECT_EQ(offered({"similarity", "-o", "tr"}), std::set<std::string>{"traces one"});
  EXPECT_EQ(offered({"trace", "pro"}), std::set<std::string>{"prompts.jsonl"});
  EXPECT_EQ(offered({"completions", ""}), (std::set<std::string>{"bash", "fish", "zsh"}));
  EXPECT_TRUE(offered({"similarity", "--seed", ""}).empty());
}

TEST(Completions, TheShellsTakeTheScripts) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const std::string script = script_of(shell);
    for (const Command& command : command_table()) {
      EXPECT_NE(script.find(command.name), std::string::npos) << shell << ": " << command.name;
    }
    if (!is_installed(shell)) continue;
    const CommandResult result =
        run_command({shell, "-n", "/dev/stdin"}, {.input = script, .working_directory = {}});
    EXPECT_EQ(result.exit_code, 0) << shell << ": " << result.err;
    EXPECT_EQ(result.err, "") << shell;
  }
}

TEST(Completions, AreForKnownShells) {
  const CommandResult result = run_moexray({"completions", "tcsh"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("expected one of bash, zsh, fish, found \"tcsh\""), std::string::npos)
      << result.err;
}

}  // namespace
}  // namespace moexray::app
