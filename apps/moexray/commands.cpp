#include "commands.h"

#include <vector>

#include "analyses.h"
#include "command.h"

namespace moexray::app {
namespace {

// One row per command; each is defined in its own cmd_<name>.cpp and declared in commands.h, those
// of analyses follow from their table.
std::vector<Command> make_table() {
  std::vector<Command> table = {trace_command(), import_command(), export_command(),
                                analyze_command(analyses())};
  for (const Analysis& analysis : analyses()) table.push_back(command_of(analysis));
  for (Command (*command)() : {expert_command, show_command, model_command, tokenize_command,
                               completions_command, man_command}) {
    table.push_back(command());
  }
  return table;
}

}  // namespace

std::span<const Command> command_table() {
  static const std::vector<Command> table = make_table();
  return table;
}

}  // namespace moexray::app
