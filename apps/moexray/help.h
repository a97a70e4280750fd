#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "command.h"

namespace moexray::app {

/// `moexray --help`: all commands with a line each, group by group, in lines of `width` columns.
std::string program_help(std::span<const Command> table, std::size_t width);

/// `moexray COMMAND --help`: description, arguments, flags with their defaults, examples.
std::string command_help(const Command& command, std::size_t width);

/// `moexray --version`.
std::string version_text();

}  // namespace moexray::app
