#include <vector>

#include "command.h"
#include "commands.h"

namespace moexray::app {

std::span<const Command> command_table() {
  static const std::vector<Command> table = {
      // One row per command; each is defined in its own cmd_<name>.cpp and declared in commands.h.
  };
  return table;
}

}  // namespace moexray::app
