#include "commands.h"

#include <vector>

#include "command.h"

namespace moexray::app {

std::span<const Command> command_table() {
  static const std::vector<Command> table = {
      // One row per command; each is defined in its own cmd_<name>.cpp and declared in commands.h.
      trace_command(),       analyze_command(),   signatures_command(),  similarity_command(),
      baselines_command(),   layers_command(),    project_command(),     classify_command(),
      stats_command(),       confounds_command(), information_command(), experts_command(),
      expert_command(),      show_command(),      model_command(),       tokenize_command(),
      completions_command(),
  };
  return table;
}

}  // namespace moexray::app
