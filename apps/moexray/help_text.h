#pragma once

#include <span>
#include <string>
#include <string_view>

#include "command.h"

namespace moexray::app {

// What the help and the manual pages say in the same words.

inline constexpr std::string_view program_summary =
    "traces which experts a sparse Mixture-of-Experts language model selects, and analyses the "
    "routing";

/// The groups of commands in the order of the help.
std::span<const CommandGroup> command_groups();
std::string_view title_of(CommandGroup group);

/// "-o" and "--output", or "--output" alone.
std::vector<std::string> forms_of(const Flag& flag);

/// The placeholder of the flag's value, "" for one that takes none.
std::string placeholder_of(const Flag& flag);

/// The help of a flag with its choices and its default.
std::string flag_description(const Flag& flag);

/// Everything after "moexray COMMAND": "[OPTIONS] PROMPTS [TRACES…]".
std::string usage_of(const Command& command);

}  // namespace moexray::app
