#include <filesystem>
#include <vector>

#include "cli.h"
#include "commands.h"
#include "console.h"
#include "man_page.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/file.h"

namespace moexray::app {
namespace {

namespace fs = std::filesystem;

// Pages that another version wrote are replaced, what else has their name is not.
void write_page(const fs::path& path, const std::string& page) {
  constexpr std::uint64_t max_bytes = 1 << 20;
  if (fs::exists(fs::symlink_status(path)) &&
      !(fs::is_regular_file(path) && read_file(path, max_bytes).starts_with(man_page_mark))) {
    throw Error(ErrorKind::runtime,
                {"refusing to replace what moexray man did not write", path.string(), {}, {}});
  }
  write_file_atomically(path, page);
}

void write_all(const fs::path& directory) {
  std::error_code code;
  fs::create_directories(directory, code);
  if (code) {
    throw Error(ErrorKind::runtime,
                {"cannot make the directory", directory.string(), {}, code.message()});
  }
  write_page(directory / "moexray.1", program_man_page(command_table()));
  for (const Command& command : command_table()) {
    write_page(directory / man_page_name(command), command_man_page(command));
  }
}

void run(const Arguments& arguments, Console& console) {
  if (arguments.has("output")) {
    if (!arguments.positionals().empty()) {
      throw Error(ErrorKind::usage, "--output writes all pages: no COMMAND goes with it");
    }
    write_all(arguments.text("output"));
    return;
  }
  if (arguments.positionals().empty()) {
    console.print(program_man_page(command_table()));
    return;
  }
  const std::string& name = arguments.positionals().front();
  std::vector<std::string> names;
  for (const Command& command : command_table()) {
    if (command.name == name) {
      console.print(command_man_page(command));
      return;
    }
    names.push_back(command.name);
  }
  const std::string meant = closest_name(name, names);
  throw Error(ErrorKind::usage, "unknown command \"" + printable(name, 60) + "\"" +
                                    (meant.empty() ? "" : ": did you mean \"" + meant + "\"?"));
}

}  // namespace

Command man_command() {
  return {.name = "man",
          .group = CommandGroup::tool,
          .summary = "Print the manual page of a command",
          .description =
              "Prints the manual page of a command, or of moexray itself, as man reads it. An "
              "installed moexray has installed them: man moexray-analyze.",
          .positionals = {{.name = "COMMAND",
                           .help = "name of a command (default: moexray itself)",
                           .required = false}},
          .flags = {{.name = "-o,--output",
                     .value_name = "DIR",
                     .help = "write the pages of all commands into DIR, in place of older ones"}},
          .examples = {{"moexray man similarity | man -l -", "one page"},
                       {"moexray man -o man1", "all pages, as the build makes them"}},
          .run = run};
}

}  // namespace moexray::app
