#include "completions.h"

#include <fmt/core.h>

#include <string_view>
#include <utility>
#include <vector>

#include "cli.h"
#include "help_text.h"
#include "joined.h"

namespace moexray::app {
namespace {

enum class Kind { none, file, directory };

// What a placeholder in the help stands for.
Kind kind_of(std::string_view placeholder) {
  if (placeholder == "DIR" || placeholder == "TRACES") return Kind::directory;
  if (placeholder.starts_with("FILE") || placeholder.find('.') != std::string_view::npos ||
      placeholder == "PROMPTS") {
    // meta.KEY names no file.
    return placeholder.starts_with("meta") ? Kind::none : Kind::file;
  }
  return Kind::none;
}

std::vector<Flag> flags_of(const Command& command) {
  std::vector<Flag> flags = command.flags;
  flags.insert(flags.end(), common_flags().begin(), common_flags().end());
  return flags;
}

bool takes_value(const Flag& flag) { return flag.type != FlagType::on_off; }

std::vector<std::string> command_names(std::span<const Command> table) {
  std::vector<std::string> names;
  for (const Command& command : table) names.push_back(command.name);
  return names;
}

// What may stand for a positional: its choices, or the commands.
std::vector<std::string> choices_of(const Positional& positional, std::span<const Command> table) {
  return positional.name == "COMMAND" ? command_names(table) : positional.choices;
}

// The first of a command's positionals that says what may stand there decides for all of them.
struct Words {
  std::vector<std::string> choices = {};
  Kind kind = Kind::none;
};
Words words_of(const Command& command, std::span<const Command> table) {
  for (const Positional& positional : command.positionals) {
    std::vector<std::string> choices = choices_of(positional, table);
    if (!choices.empty()) return {std::move(choices), Kind::none};
    if (kind_of(positional.name) != Kind::none) return {{}, kind_of(positional.name)};
  }
  return {};
}

std::string replaced(std::string_view text, std::string_view characters, std::string_view before) {
  std::string out;
  for (const char c : text) {
    if (characters.find(c) != std::string_view::npos) out += before;
    out += c;
  }
  return out;
}

// A text between single quotes in zsh and other shells of its kind.
std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string fish_quoted(std::string_view text) { return "'" + replaced(text, "\\'", "\\") + "'"; }

// The first line of a help text is enough for a list.
std::string_view first_sentence(std::string_view text) {
  return text.substr(0, text.find_first_of("\n;"));
}

// Where the completions of a word come from, as an assignment that the script acts on.
std::string bash_source(const std::vector<std::string>& choices, Kind kind) {
  if (!choices.empty()) return "values='" + joined(choices, " ") + "'";
  return kind == Kind::file        ? "kind='file'"
         : kind == Kind::directory ? "kind='directory'"
                                   : "kind='none'";
}

std::string bash_command(const Command& command, std::span<const Command> table) {
  std::string names;
  std::string cases;
  for (const Flag& flag : flags_of(command)) {
    for (const std::string& form : forms_of(flag)) names += (names.empty() ? "" : " ") + form;
    if (!takes_value(flag)) continue;
    cases += fmt::format("        {}) {} ;;\n", joined(forms_of(flag), " | "),
                         bash_source(flag.choices, kind_of(flag.value_name)));
  }
  const Words words = words_of(command, table);
  return fmt::format(
      "    {})\n      flags='{}'\n      case $previous in\n{}        *) {} ;;\n      esac\n"
      "      ;;\n",
      command.name, names, cases, bash_source(words.choices, words.kind));
}

std::string zsh_action(std::span<const std::string> choices, std::string_view placeholder) {
  if (!choices.empty()) return "(" + joined(choices, " ") + ")";
  switch (kind_of(placeholder)) {
    case Kind::file:
      return "_files";
    case Kind::directory:
      return "_files -/";
    case Kind::none:
      break;
  }
  return " ";
}

// '(-o --output)'{-o,--output}'[help]:DIR:_files -/'
std::string zsh_flag(const Flag& flag) {
  const std::vector<std::string> forms = forms_of(flag);
  std::string spec = "[" + replaced(first_sentence(flag.help), "\\[]", "\\") + "]";
  if (takes_value(flag)) {
    const std::string name = placeholder_of(flag);
    spec += ":" + replaced(name, ":", "\\") + ":" + zsh_action(flag.choices, flag.value_name);
  }
  if (forms.size() == 1) return shell_quoted(forms[0] + spec);
  return fmt::format("'({})'{{{}}}{}", joined(forms, " "), joined(forms, ","), shell_quoted(spec));
}

}  // namespace

std::string bash_completions(std::span<const Command> table) {
  const std::string names = joined(command_names(table), " ");
  std::string cases;
  for (const Command& command : table) cases += bash_command(command, table);
  return fmt::format(R"(# bash completion of moexray; made by `moexray completions bash`.
_moexray() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
  local flags='' values='' kind=''
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W '{0} help --help --version' -- "$current")
    return
  fi
  # bash splits --flag=value into three words.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]]; then
    previous=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  case ${{COMP_WORDS[1]}} in
    help) values='{0}' ;;
{1}  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")
  elif [[ -n $values ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
  elif [[ $kind == directory ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -d -- "$current")
  elif [[ $kind == file ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}}
complete -F _moexray moexray
)",
                     names, cases);
}

std::string zsh_completions(std::span<const Command> table) {
  std::string descriptions;
  std::string cases;
  for (const Command& command : table) {
    descriptions += fmt::format(
        "    {}\n", shell_quoted(replaced(command.name, ":", "\\") + ":" + command.summary));
    cases += fmt::format("    {})\n      _arguments -s", command.name);
    for (const Flag& flag : flags_of(command)) cases += " \\\n        " + zsh_flag(flag);
    for (const Positional& positional : command.positionals) {
      cases += " \\\n        " +
               shell_quoted((positional.repeated   ? "*:"
                             : positional.required ? ":"
                                                   : "::") +
                            positional.name + ":" +
                            zsh_action(choices_of(positional, table), positional.name));
    }
    cases += "\n      ;;\n";
  }
  return fmt::format(R"(#compdef moexray
# zsh completion of moexray; made by `moexray completions zsh`.
_moexray() {{
  local -a commands
  commands=(
{0}  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
    help) _describe command commands ;;
{1}  esac
}}
# As a file of fpath this is the body of the function; read by `source` or eval it has to register it.
if [[ ${{funcstack[1]}} == _moexray ]]; then
  _moexray "$@"
else
  (( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit -i -D; }}
  compdef _moexray moexray
fi
)",
                     descriptions, cases);
}

std::string fish_completions(std::span<const Command> table) {
  std::string out =
      "# fish completion of moexray; made by `moexray completions fish`.\n"
      "complete -c moexray -f\n";
  for (const Command& command : table) {
    out += fmt::format("complete -c moexray -n __fish_use_subcommand -a {} -d {}\n", command.name,
                       fish_quoted(command.summary));
  }
  for (const Command& command : table) {
    const std::string start =
        fmt::format("complete -c moexray -n '__fish_seen_subcommand_from {}'", command.name);
    for (const Flag& flag : flags_of(command)) {
      out += start;
      for (const std::string& form : forms_of(flag)) {
        out += form.starts_with("--") ? " -l " + form.substr(2) : " -s " + form.substr(1);
      }
      if (takes_value(flag)) {
        const Kind kind = kind_of(flag.value_name);
        out += kind == Kind::file        ? " -r -F"
               : kind == Kind::directory ? " -x -a '(__fish_complete_directories)'"
               : flag.choices.empty()    ? " -x"
                                         : " -x -a " + fish_quoted(joined(flag.choices, " "));
      }
      out += fmt::format(" -d {}\n", fish_quoted(first_sentence(flag.help)));
    }
    const Words words = words_of(command, table);
    if (words.kind == Kind::file) out += start + " -F\n";
    if (words.kind == Kind::directory) out += start + " -a '(__fish_complete_directories)'\n";
    if (!words.choices.empty())
      out += start + " -a " + fish_quoted(joined(words.choices, " ")) + "\n";
  }
  return out;
}

}  // namespace moexray::app
