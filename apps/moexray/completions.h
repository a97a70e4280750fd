#pragma once

#include <span>
#include <string>

#include "command.h"

namespace moexray::app {

// Scripts that make a shell complete commands, flags, their values and file names, for a table of
// commands.
std::string bash_completions(std::span<const Command> table);
std::string zsh_completions(std::span<const Command> table);
std::string fish_completions(std::span<const Command> table);

}  // namespace moexray::app
