#include "help.h"

#include <fmt/core.h>

#include <algorithm>

#include "cli.h"
#include "moexray/core/version.h"

namespace moexray::app {
namespace {

constexpr std::size_t line_width = 100;
constexpr std::size_t flag_column = 28;

// Appends words of `text` to `out`, which stands at `column`, and breaks lines so that they begin
// at `indent`. Newlines of the text are kept.
void append_wrapped(std::string& out, std::string_view text, std::size_t indent,
                    std::size_t column) {
  const auto new_line = [&] {
    out += '\n';
    column = 0;
  };
  bool first = true;
  while (!text.empty()) {
    if (text.front() == '\n') {
      new_line();
      first = true;
      text.remove_prefix(1);
      continue;
    }
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    const std::string_view word = text.substr(0, end);
    if (!first && column + 1 + word.size() > line_width) {
      new_line();
      first = true;
    }
    if (first && column < indent) {
      out.append(indent - column, ' ');
      column = indent;
    } else if (!first) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    first = false;
    text.remove_prefix(end);
    if (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  }
  out += '\n';
}

void append_row(std::string& out, const std::string& left, std::string_view right,
                std::size_t column) {
  out += "  " + left;
  std::size_t at = left.size() + 2;
  if (at + 2 > column) {
    out += '\n';
    at = 0;
  }
  append_wrapped(out, right, column, at);
}

std::string flag_label(const Flag& flag) {
  std::string label = flag.name;
  if (const auto comma = label.find(','); comma != std::string::npos) {
    label.replace(comma, 1, ", ");
  } else {
    label.insert(0, "    ");
  }
  if (flag.type == FlagType::on_off) return label;
  if (flag.type == FlagType::choice && flag.value_name.empty()) return label + " NAME";
  return label + " " + (flag.value_name.empty() ? "VALUE" : flag.value_name);
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

std::string usage_line(const Command& command) {
  std::string line = fmt::format("Usage: moexray {} [OPTIONS]", command.name);
  for (const Positional& positional : command.positionals) {
    const std::string name = positional.name + (positional.repeated ? "…" : "");
    line += positional.required ? " " + name : " [" + name + "]";
  }
  return line + "\n";
}

}  // namespace

std::string version_text() { return fmt::format("moexray {}\n", version()); }

std::string program_help(std::span<const Command> table) {
  std::string out =
      "moexray traces which experts a sparse Mixture-of-Experts language model selects, and "
      "analyses the "
      "routing.\n\nUsage: moexray COMMAND [OPTIONS]\n\nCommands:\n";
  std::size_t column = 0;
  for (const Command& command : table) column = std::max(column, command.name.size() + 4);
  for (const Command& command : table) append_row(out, command.name, command.summary, column);
  out +=
      "\n  moexray COMMAND --help   tells all about a command\n"
      "  moexray --version        prints the version\n";
  return out;
}

std::string command_help(const Command& command) {
  std::string out =
      fmt::format("moexray {}: {}\n\n{}\n", command.name, command.summary, usage_line(command));
  append_wrapped(out, command.description, 0, 0);
  if (!command.positionals.empty()) out += "\nArguments:\n";
  for (const Positional& positional : command.positionals) {
    append_row(out, positional.name, positional.help, flag_column);
  }
  out += "\nOptions:\n";
  for (const Flag& flag : command.flags)
    append_row(out, flag_label(flag), flag_description(flag), flag_column);
  for (const Flag& flag : common_flags())
    append_row(out, flag_label(flag), flag_description(flag), flag_column);
  if (!command.examples.empty()) out += "\nExamples:\n";
  for (const Example& example : command.examples) {
    out += "  " + example.command_line + "\n";
    append_wrapped(out, example.explanation, 6, 0);
  }
  return out;
}

}  // namespace moexray::app
