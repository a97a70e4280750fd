#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moexray::app {

class Console;

enum class FlagType {
  on_off,   ///< takes no value
  text,     ///< any string
  texts,    ///< one or more strings, up to the next flag
  integer,  ///< within [min, max]
  number,   ///< a finite decimal number within [min, max]
  choice,   ///< one of `choices`
};

/// One flag of a command, as data: parsing, help, completions and docs derive from it.
struct Flag {
  std::string name = {};  ///< "--folds", or "-o,--output"
  FlagType type = FlagType::text;
  std::string value_name = {};     ///< placeholder in the help: "N"
  std::string default_value = {};  ///< empty: not set unless given
  std::string help = {};
  double min = -9e15;
  double max = 9e15;
  std::vector<std::string> choices = {};
  /// Of FlagType::text: may be given several times, for several values. Of FlagType::texts: those
  /// of each time are a group, see Arguments::groups().
  bool repeated = false;

  /// The name without dashes and short form: "output".
  std::string key() const { return name.substr(name.rfind("--") + 2); }
};

struct Positional {
  std::string name = {};  ///< "PROMPTS"
  std::string help = {};
  bool required = true;
  bool repeated = false;
  std::vector<std::string> choices = {};  ///< empty: any text
};

struct Example {
  std::string command_line = {};
  std::string explanation = {};
};

/// The parsed flags of one invocation.
class Arguments {
 public:
  /// True if the user gave the flag.
  bool given(std::string_view key) const;
  /// True for an on_off flag that was given.
  bool on(std::string_view key) const { return given(key); }
  /// True if the flag was given or has a default.
  bool has(std::string_view key) const;
  /// The value, or the default. Asking for a flag that has neither is a programming error.
  const std::string& text(std::string_view key) const;
  /// All values of a flag of several, or of one given several times.
  const std::vector<std::string>& texts(std::string_view key) const;
  /// The values of a flag of FlagType::texts, a group for each time it was given; one group unless
  /// it is `repeated`.
  std::vector<std::vector<std::string>> groups(std::string_view key) const;
  std::int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;
  const std::vector<std::string>& positionals() const { return positionals_; }

 private:
  friend class CommandLine;
  using Values = std::map<std::string, std::vector<std::string>, std::less<>>;
  Values given_;
  Values defaults_;
  std::map<std::string, std::vector<std::size_t>, std::less<>> group_sizes_;
  std::vector<std::string> positionals_;
};

/// Where a command stands in the help.
enum class CommandGroup { trace, analysis, look, tool };

/// One row of the command table.
struct Command {
  std::string name = {};
  CommandGroup group = CommandGroup::analysis;
  std::string summary = {};      ///< one line
  std::string description = {};  ///< what it computes, reads and writes
  std::vector<Positional> positionals = {};
  std::vector<Flag> flags = {};
  std::vector<Example> examples = {};
  std::function<void(const Arguments&, Console&)> run = {};
};

/// The table of all commands, in the order of the help. The one place a new command is entered.
std::span<const Command> command_table();

}  // namespace moexray::app
