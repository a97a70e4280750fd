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
  EXPECT_EQ(offered({"man", "sim"}), std::set<std::string>{"similarity"});
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

// What a script that has read the completions prints; `prepare` is how it came to have them.
std::string zsh_output(const std::string& prepare, const std::string& script) {
  const test::TemporaryDirectory place;
  std::ofstream(place.path() / "_moexray") << script_of("zsh");
  const CommandResult result =
      run_command({"zsh", "-f", "-c", prepare + "\n" + script},
                  {.input = script_of("zsh"), .working_directory = place.path()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  return result.out;
}

// What an interactive zsh, asked on a pseudo-terminal, lists as words that may follow `line`; up to
// the one that ends in `last`, or of five seconds.
std::string zsh_listing(const std::string& prepare, const std::string& line,
                        const std::string& last) {
  return zsh_output("", "prepare='" + prepare + "'\nline='" + line + "'\nlast='" + last + "'\n" +
                            R"(
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1= LISTMAX=1000; stty rows 200 columns 200; cd -q ${(q)PWD}"
zpty -w shell "$prepare"
zpty -w shell 'print -r -- "rea""dy"'
zpty -r shell seen '*ready*'
zpty -w -n shell "$line"$'\t'
integer i
all=''
while (( i++ < 200 )) && [[ $all != *$last* ]]; do
  if zpty -rt shell part; then all+=$part; else sleep 0.025; fi
done
zpty -d shell
print -r -- $all
)");
}

TEST(ZshCompletion, IsRegisteredHoweverItIsRead) {
  if (!is_installed("zsh")) GTEST_SKIP() << "zsh is not installed";
  const std::string registered = "print -r -- $_comps[moexray]";
  for (const char* prepare :
       {"autoload -Uz compinit; compinit -i -D\nsource /dev/stdin",
        "autoload -Uz compinit; compinit -i -D\neval \"$(<_moexray)\"",
        "autoload -Uz compinit; compinit -i -D\nf() { source <(cat _moexray) }; f",
        "source <(cat _moexray)",  // before compinit
        "fpath=($PWD $fpath); autoload -Uz compinit; compinit -i -D"}) {
    EXPECT_EQ(zsh_output(prepare, registered), "_moexray\n") << prepare;
  }
}

TEST(ZshCompletion, OffersCommandsAndFlags) {
  if (!is_installed("zsh")) GTEST_SKIP() << "zsh is not installed";
  for (const char* prepare :
       {"source <(cat _moexray)", "fpath=($PWD $fpath); autoload -Uz compinit; compinit -i -D"}) {
    SCOPED_TRACE(prepare);
    const std::string commands = zsh_listing(prepare, "moexray s", "stats");
    for (const char* name : {"signatures", "similarity", "stats", "show"}) {
      EXPECT_NE(commands.find(name), std::string::npos) << name << " in " << commands;
    }
    const std::string flags = zsh_listing(prepare, "moexray similarity --e", "template");
    EXPECT_NE(flags.find("--exclude-template"), std::string::npos) << flags;
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
