#pragma once

#include <span>
#include <string>

#include "command.h"

namespace moexray::app {

/// `moexray --help`: all commands in one line each.
std::string program_help(std::span<const Command> table);

/// `moexray COMMAND --help`: description, arguments, flags with their defaults, examples.
std::string command_help(const Command& command);

/// `moexray --version`.
std::string version_text();

}  // namespace moexray::app
