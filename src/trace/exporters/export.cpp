#include "moexray/trace/export.h"

#include <array>
#include <utility>

#include "exporter.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/trace/counts.h"
#include "trace/temporary_output.h"
#include "trace/trace_directory.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using exports::Exporter;

const Exporter& exporter_named(const std::string& name) {
  std::string names;
  for (const Exporter& exporter : exports::exporters()) {
    if (exporter.name == name) return exporter;
    names += (names.empty() ? "" : ", ") + std::string(exporter.name);
  }
  throw Error(ErrorKind::usage, {"unknown form", "--to", names, name});
}

void check_file(const TraceSet& traces, const ExportOptions& options) {
  std::error_code error;
  const fs::path& output = options.output;
  const fs::path parent = output.has_parent_path() ? output.parent_path() : fs::path(".");
  if (!output.has_filename() || fs::is_directory(output, error)) {
    throw Error(ErrorKind::usage, {"a directory is there", output.string(), "a file", {}});
  }
  for (const fs::path& directory : traces.directories) {
    if (!fs::equivalent(parent, directory, error)) continue;
    throw Error(
        ErrorKind::usage,
        {"the file would lie in the directory of a trace that is read", output.string(), {}, {}});
  }
  if (fs::exists(fs::symlink_status(output, error))) {
    if (!options.force) {
      throw Error(
          ErrorKind::usage,
          {"the file is there already; use --force to replace it", output.string(), {}, {}});
    }
    if (!fs::is_regular_file(fs::symlink_status(output, error))) {
      throw Error(ErrorKind::usage,
                  {"no regular file; it is not replaced", output.string(), {}, {}});
    }
  }
  trace::check_writable(parent);
}

}  // namespace

std::span<const Exporter> exports::exporters() {
  // A new form is entered here, and nowhere else.
  static const std::array table{npz_exporter(),       safetensors_exporter(), counts_exporter(),
                                eplb_json_exporter(), vllm_exporter(),        replay_exporter(),
                                csv_exporter()};
  return table;
}

std::vector<ExportFormat> export_formats() {
  std::vector<ExportFormat> formats;
  for (const Exporter& exporter : exports::exporters()) {
    formats.push_back({std::string(exporter.name), std::string(exporter.summary)});
  }
  return formats;
}

void check_export(const TraceSet& traces, const ExportOptions& options) {
  const Exporter& exporter = exporter_named(options.format);
  if (!exporter.takes_counts) check_has_tokens(traces);
  if (!exporter.is_directory) return check_file(traces, options);
  std::error_code error;
  for (const fs::path& directory : traces.directories) {
    if (!fs::equivalent(options.output, directory, error)) continue;
    throw Error(
        ErrorKind::usage,
        {"the directory is one of the traces that are read", options.output.string(), {}, {}});
  }
  trace::TemporaryOutput::check(options.output, options.force);
}

ExportResult export_traces(const TraceSet& traces, const ExportOptions& options) {
  check_export(traces, options);
  const Exporter& exporter = exporter_named(options.format);
  exports::ExportSource source(traces, options);
  if (exporter.is_directory) {
    trace::TemporaryOutput output(options.output, options.force);
    exporter.write(source, output.path());
    output.publish();
  } else {
    exporter.write(source, options.output);
  }
  return {traces.prompts.size(), source.take_notices()};
}

}  // namespace moexray
