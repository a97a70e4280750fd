#include "help_text.h"

#include <fmt/core.h>

#include <array>

namespace moexray::app {

std::span<const CommandGroup> command_groups() {
  static constexpr std::array groups{CommandGroup::trace, CommandGroup::analysis,
                                     CommandGroup::look, CommandGroup::tool};
  return groups;
}

std::string_view title_of(CommandGroup group) {
  switch (group) {
    case CommandGroup::trace:
      return "Run a model";
    case CommandGroup::analysis:
      return "Analyse traces";
    case CommandGroup::look:
      return "Look closely";
    case CommandGroup::tool:
      break;
  }
  return "Tools";
}

std::vector<std::string> forms_of(const Flag& flag) {
  const std::size_t comma = flag.name.find(',');
  if (comma == std::string::npos) return {flag.name};
  return {flag.name.substr(0, comma), flag.name.substr(comma + 1)};
}

std::string placeholder_of(const Flag& flag) {
  if (flag.type == FlagType::on_off) return {};
  if (flag.type == FlagType::texts) return flag.value_name + "…";
  if (!flag.value_name.empty()) return flag.value_name;
  return flag.type == FlagType::choice ? "NAME" : "VALUE";
}

std::string flag_description(const Flag& flag) {
  std::string text = flag.help;
  if (flag.type == FlagType::choice) {
    text += " (";
    for (std::size_t i = 0; i < flag.choices.size(); ++i)
      text += (i == 0 ? "" : ", ") + flag.choices[i];
    text += ")";
  }
  if (!flag.default_value.empty()) text += fmt::format(" [default: {}]", flag.default_value);
  return text;
}

std::string usage_of(const Command& command) {
  std::string text = "[OPTIONS]";
  for (const Positional& positional : command.positionals) {
    const std::string name = positional.name + (positional.repeated ? "…" : "");
    text += positional.required ? " " + name : " [" + name + "]";
  }
  return text;
}

}  // namespace moexray::app
