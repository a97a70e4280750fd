#include <fmt/core.h>

#include <cstdint>

#include "analysis_flags.h"
#include "commands.h"
#include "console.h"
#include "moexray/core/error.h"
#include "moexray/core/wording.h"
#include "moexray/trace/export.h"
#include "moexray/trace/reader.h"
#include "progress.h"

namespace moexray::app {
namespace {

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const ExportFormat& format : export_formats()) names.push_back(format.name);
  return names;
}

// "npz: …" and so on, a line a form.
std::string format_list() {
  std::string text;
  for (const ExportFormat& format : export_formats()) {
    text += "\n" + format.name + ": " + format.summary + ".";
  }
  return text;
}

void run(const Arguments& arguments, Console& console) {
  for (const char* key : {"to", "output"}) {
    if (arguments.has(key)) continue;
    throw Error(ErrorKind::usage, std::string("missing flag ") +
                                      (key == std::string_view("to") ? "--to FORM" : "-o PATH"));
  }
  Directories directories(arguments.positionals().begin(), arguments.positionals().end());
  if (directories.empty()) directories.emplace_back("traces");
  ExportOptions options;
  options.format = arguments.text("to");
  options.output = arguments.text("output");
  options.force = arguments.on("force");
  options.reading.allow_partial = arguments.on("allow-partial");
  options.reading.n_threads = 1;
  if (arguments.has("layers")) options.n_layers = static_cast<int>(arguments.integer("layers"));
  options.stop = &console.stop_requested();
  const TraceSet traces = open_traces(directories, options.reading);
  check_export(traces, options);
  for (const std::string& notice : traces.notices) console.notice(notice);
  Progress progress(console, "export", static_cast<std::int64_t>(traces.prompts.size()), "prompts");
  options.progress = [&](std::size_t n) { progress.update(static_cast<std::int64_t>(n)); };
  const ExportResult result = export_traces(traces, options);
  for (const std::string& notice : result.notices) console.notice(notice);
  console.print(fmt::format("wrote {}: {}\n", options.output.string(),
                            counted(static_cast<std::int64_t>(result.n_prompts), "prompt")));
}

}  // namespace

Command export_command() {
  return {
      .name = "export",
      .group = CommandGroup::trace,
      .summary = "Write traces in a form that other programs read",
      .description =
          "Reads and verifies trace directories and writes them in another form, under a "
          "temporary name that is renamed at the end. Nothing is replaced without --force. `import "
          "--from numpy` makes the same events of an npz or safetensors again, without flags. "
          "Forms:" +
          format_list(),
      .positionals = trace_positionals(),
      .flags = {{.name = "--to",
                 .type = FlagType::choice,
                 .value_name = "FORM",
                 .help = "what to write",
                 .choices = format_names()},
                {.name = "-o,--output",
                 .value_name = "PATH",
                 .help = "the file to write, or the directory of counts"},
                {.name = "--layers",
                 .type = FlagType::integer,
                 .value_name = "N",
                 .help = "layers of the transformer, for eplb-json, vllm and replay (default: up "
                         "to the last one with experts)",
                 .min = 1,
                 .max = 4096},
                {.name = "--allow-partial",
                 .type = FlagType::on_off,
                 .help = "use the complete prompts of a trace that is not complete"},
                {.name = "--force",
                 .type = FlagType::on_off,
                 .help = "replace the file, or the trace, that is there"}},
      .examples = {{"moexray export --to npz traces -o traces.npz", "arrays for NumPy"},
                   {"moexray export --to counts traces -o counts",
                    "how often each prompt selected each expert, for every analysis of counts"},
                   {"moexray export --to eplb-json traces -o experts.json",
                    "for SGLang's --init-expert-location"}},
      .run = run};
}

}  // namespace moexray::app
