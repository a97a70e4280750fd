#pragma once

#include <span>
#include <string>
#include <string_view>

#include "command.h"

namespace moexray::app {

// Manual pages of section 1, in roff with the macros of man(7), in ASCII.

/// moexray.1: the commands, group by group.
std::string program_man_page(std::span<const Command> table);

/// moexray-COMMAND.1: what `moexray COMMAND --help` says.
std::string command_man_page(const Command& command);

/// "moexray-trace.1".
std::string man_page_name(const Command& command);

/// How every page begins.
inline constexpr std::string_view man_page_mark =
    ".\\\" Made by moexray man from its table of commands.\n";

/// Text as roff shows it: no character of it is taken for a request, an escape or a ligature.
std::string roff_text(std::string_view text);

}  // namespace moexray::app
