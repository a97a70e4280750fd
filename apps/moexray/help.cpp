#include "help.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "cli.h"
#include "help_text.h"
#include "moexray/core/version.h"

namespace moexray::app {
namespace {

// Lines longer than this are hard to read, whatever the terminal has.
constexpr std::size_t greatest_page_width = 100;
constexpr std::size_t least_page_width = 40;

// Columns that the first and the other lines of a paragraph begin at.
struct Indent {
  std::size_t first = 0;
  std::size_t rest = 0;
};

// Text in lines of a width. Columns are counted in bytes: a character beyond ASCII breaks its line
// a little early.
class HelpPage {
 public:
  explicit HelpPage(std::size_t width)
      : width_(std::clamp(width, least_page_width, greatest_page_width)) {}

  void line(std::string_view text) { out_.append(text).append("\n"); }

  // Appends words of `text`, the page standing at `column` of a line. Lines before the last end
  // with `broken`. Newlines of the text are kept.
  void wrapped(std::string_view text, Indent indents = {}, std::size_t column = 0,
               std::string_view broken = "") {
    bool first = true;
    std::size_t indent = indents.first;
    const auto new_line = [&] {
      out_ += '\n';
      column = 0;
      first = true;
      indent = indents.rest;
    };
    while (!text.empty()) {
      if (text.front() == '\n') {
        new_line();
        text.remove_prefix(1);
        continue;
      }
      const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
      const std::string_view word = text.substr(0, end);
      if (!first && column + 1 + word.size() + broken.size() > width_) {
        out_ += broken;
        new_line();
      }
      if (first && column < indent) {
        out_.append(indent - column, ' ');
        column = indent;
      } else if (!first) {
        out_ += ' ';
        ++column;
      }
      out_ += word;
      column += word.size();
      first = false;
      text.remove_prefix(end);
      if (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    }
    out_ += '\n';
  }

  // "  left   right", where the right side begins at `column` or, in a narrow page, earlier.
  void row(const std::string& left, std::string_view right, std::size_t column) {
    column = std::min(column, width_ / 3);
    out_ += "  " + left;
    std::size_t at = left.size() + 2;
    if (at + 2 > column) {
      out_ += '\n';
      at = 0;
    }
    wrapped(right, {column, column}, at);
  }

  std::string text() && { return std::move(out_); }

 private:
  std::size_t width_;
  std::string out_;
};

constexpr std::size_t flag_column = 28;

std::string flag_label(const Flag& flag) {
  const std::vector<std::string> forms = forms_of(flag);
  std::string label = forms.size() == 1 ? "    " + forms[0] : forms[0] + ", " + forms[1];
  if (flag.type != FlagType::on_off) label += " " + placeholder_of(flag);
  return label;
}

}  // namespace

std::string version_text() { return fmt::format("moexray {}\n", version()); }

std::string program_help(std::span<const Command> table, std::size_t width) {
  HelpPage page(width);
  page.wrapped("moexray " + std::string(program_summary) + ".");
  page.line("\nUsage: moexray COMMAND [OPTIONS]");
  std::size_t column = 0;
  for (const Command& command : table) column = std::max(column, command.name.size() + 4);
  for (const CommandGroup group : command_groups()) {
    bool first = true;
    for (const Command& command : table) {
      if (command.group != group) continue;
      if (first) page.line("\n" + std::string(title_of(group)) + ":");
      first = false;
      page.row(command.name, command.summary, column);
    }
  }
  page.line("");
  page.row("moexray COMMAND --help", "tells all about a command", 27);
  page.row("moexray --version", "prints the version", 27);
  return std::move(page).text();
}

std::string command_help(const Command& command, std::size_t width) {
  HelpPage page(width);
  page.wrapped("moexray " + command.name + ": " + command.summary);
  page.line("");
  page.wrapped("Usage: moexray " + command.name + " " + usage_of(command), {0, 7});
  page.line("");
  page.wrapped(command.description);
  if (!command.positionals.empty()) page.line("\nArguments:");
  for (const Positional& positional : command.positionals) {
    page.row(positional.name, positional.help, flag_column);
  }
  page.line("\nOptions:");
  for (const Flag& flag : command.flags)
    page.row(flag_label(flag), flag_description(flag), flag_column);
  for (const Flag& flag : common_flags())
    page.row(flag_label(flag), flag_description(flag), flag_column);
  if (!command.examples.empty()) page.line("\nExamples:");
  for (const Example& example : command.examples) {
    page.wrapped(example.command_line, {2, 4}, 0, " \\");
    page.wrapped(example.explanation, {6, 6});
  }
  return std::move(page).text();
}

}  // namespace moexray::app
