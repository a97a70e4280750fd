#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "command.h"

namespace moexray::app {

/// What the user asked for.
struct Invocation {
  const Command* command = nullptr;  ///< null: print `text` and be done
  Arguments arguments = {};
  bool quiet = false;
  std::string text = {};  ///< help or version
};

/// The flags that every command has besides its own.
std::span<const Flag> common_flags();

class CommandLine {
 public:
  /// Parses the words after the program's name by the table of commands, and checks every value.
  /// @param width columns of a line of help
  /// @throws Error (usage), in one line, naming the flag, what was expected and what was found.
  static Invocation parse(const std::vector<std::string>& words, std::span<const Command> table,
                          std::size_t width = 80);

  /// The name of the command that the words ask for, "" if there is none: for messages about
  /// errors.
  static std::string command_name(const std::vector<std::string>& words,
                                  std::span<const Command> table);

 private:
  static Arguments parse_arguments(const Command& command, std::vector<std::string> words,
                                   bool& help);
};

/// Checks a value against a flag's type and range. @throws Error (usage).
void check_flag_value(const Flag& flag, std::string_view value);

/// The name among `names` that a mistyped `word` probably meant, or "".
std::string closest_name(std::string_view word, std::span<const std::string> names);

}  // namespace moexray::app
