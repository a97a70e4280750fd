#include "man_page.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "cli.h"
#include "help_text.h"
#include "moexray/core/version.h"

namespace moexray::app {
namespace {

// The code point at the front of valid UTF-8, which it takes away.
char32_t take_code_point(std::string_view& text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t code = n == 1 ? lead : lead & (0xFFU >> (n + 1));
  for (std::size_t i = 1; i < n && i < text.size(); ++i) {
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3FU);
  }
  text.remove_prefix(std::min(n, text.size()));
  return code;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string bold(std::string_view text) { return "\\fB" + roff_text(text) + "\\fR"; }
std::string italic(std::string_view text) { return "\\fI" + roff_text(text) + "\\fR"; }

std::string head(const std::string& title, const std::string& name, const std::string& summary) {
  return fmt::format(
      "{}"
      ".TH {} 1 \"{}\" \"moexray {}\" \"moexray manual\"\n"
      ".SH NAME\n{} \\- {}\n",
      man_page_mark, roff_text(upper(title)), version_date(), version(), roff_text(name),
      roff_text(summary));
}

// Text in lines of about 72 characters.
std::string filled(std::string_view text) {
  std::string out = roff_text(text);
  std::size_t start = 0;
  std::size_t last_space = std::string::npos;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i] == '\n') {
      start = i + 1;
      last_space = std::string::npos;
    } else if (out[i] == ' ') {
      // Behind a break a full stop would begin a request.
      if (i + 1 < out.size() && out[i + 1] != '.' && out[i + 1] != ' ') last_space = i;
    } else if (i - start > 72 && last_space != std::string::npos) {
      out[last_space] = '\n';
      start = last_space + 1;
      last_space = std::string::npos;
    }
  }
  return out + "\n";
}

std::string tagged(const std::string& tag, std::string_view text) {
  return ".TP\n" + tag + "\n" + filled(text);
}

std::string flag_tag(const Flag& flag) {
  std::string tag;
  for (const std::string& form : forms_of(flag)) tag += (tag.empty() ? "" : ", ") + bold(form);
  const std::string placeholder = placeholder_of(flag);
  return placeholder.empty() ? tag : tag + " " + italic(placeholder);
}

std::string exit_status() {
  return ".SH EXIT STATUS\n" + tagged(bold("0"), "Done.") +
         tagged(bold("1"), "The data or the run failed; a message on standard error says how.") +
         tagged(bold("2"), "Wrong usage.");
}

}  // namespace

std::string roff_text(std::string_view text) {
  std::string out;
  bool line_start = true;
  while (!text.empty()) {
    const char32_t code = take_code_point(text);
    if (line_start && (code == '.' || code == '\'')) out += "\\&";
    line_start = code == '\n';
    switch (code) {
      case '\\':
        out += "\\e";
        break;
      case '-':  // a plain one may become a hyphen, which cannot be pasted into a shell
        out += "\\-";
        break;
      case '\'':
        out += "\\[aq]";
        break;
      case '`':
        out += "\\[ga]";
        break;
      case '^':
        out += "\\[ha]";
        break;
      case '~':
        out += "\\[ti]";
        break;
      case '"':
        out += "\\[dq]";
        break;
      default:
        out += code < 0x80 ? std::string(1, static_cast<char>(code))
                           : fmt::format("\\[u{:04X}]", static_cast<std::uint32_t>(code));
    }
  }
  return out;
}

std::string man_page_name(const Command& command) { return "moexray-" + command.name + ".1"; }

std::string program_man_page(std::span<const Command> table) {
  std::string page = head("moexray", "moexray", "experts that a language model routes tokens to");
  page += ".SH SYNOPSIS\n" + bold("moexray") + " " + italic("COMMAND") + " [" + italic("OPTIONS") +
          "]\n.SH DESCRIPTION\n" + bold("moexray") + " " +
          filled(std::string(program_summary) + ".") + ".SH COMMANDS\n";
  std::string see_also;
  for (const CommandGroup group : command_groups()) {
    page += ".SS " + roff_text(title_of(group)) + "\n";
    for (const Command& command : table) {
      if (command.group != group) continue;
      page += tagged(bold(command.name), command.summary + ".");
      see_also += (see_also.empty() ? "" : ",\n") + bold("moexray-" + command.name) + "(1)";
    }
  }
  page += ".SH OPTIONS\n" + tagged(bold("--version"), "Prints the version.") +
          tagged(italic("COMMAND") + " " + bold("--help"), "Tells all about a command.");
  page += ".SH ENVIRONMENT\n" + tagged(bold("COLUMNS"), "Columns that lines of output may take.") +
          tagged(bold("NO_COLOR"), "If it is set and not empty, nothing is coloured.");
  return page + exit_status() + ".SH SEE ALSO\n" + see_also + "\n";
}

std::string command_man_page(const Command& command) {
  const std::string name = "moexray-" + command.name;
  std::string page = head(name, name, command.summary);
  page += ".SH SYNOPSIS\n" + bold("moexray " + command.name) + " " + roff_text(usage_of(command)) +
          "\n.SH DESCRIPTION\n" + filled(command.description);
  if (!command.positionals.empty()) page += ".SH ARGUMENTS\n";
  for (const Positional& positional : command.positionals) {
    page += tagged(italic(positional.name), positional.help);
  }
  page += ".SH OPTIONS\n";
  for (const Flag& flag : command.flags) page += tagged(flag_tag(flag), flag_description(flag));
  for (const Flag& flag : common_flags()) page += tagged(flag_tag(flag), flag_description(flag));
  if (!command.examples.empty()) page += ".SH EXAMPLES\n";
  for (const Example& example : command.examples) {
    page += tagged(bold(example.command_line), example.explanation);
  }
  return page + exit_status() + ".SH SEE ALSO\n" + bold("moexray") + "(1)\n";
}

}  // namespace moexray::app
