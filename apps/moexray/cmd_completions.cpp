#include "commands.h"
#include "completions.h"
#include "console.h"

namespace moexray::app {
namespace {

void run(const Arguments& arguments, Console& console) {
  const std::string& shell = arguments.positionals().front();
  console.print(shell == "bash"  ? bash_completions(command_table())
                : shell == "zsh" ? zsh_completions(command_table())
                                 : fish_completions(command_table()));
}

}  // namespace

Command completions_command() {
  return {.name = "completions",
          .group = CommandGroup::tool,
          .summary = "Print a script that completes commands and flags in a shell",
          .description =
              "Prints a completion script of moexray for bash, zsh or fish. An installed moexray "
              "has installed them too, where these shells look for them.",
          .positionals = {{.name = "SHELL",
                           .help = "bash, zsh or fish",
                           .choices = {"bash", "zsh", "fish"}}},
          .examples = {{"source <(moexray completions zsh)", "for this shell; bash alike"},
                       {"moexray completions fish > ~/.config/fish/completions/moexray.fish",
                        "for every fish to come"}},
          .run = run};
}

}  // namespace moexray::app
