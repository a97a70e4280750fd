#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "moexray/trace/reader.h"

namespace moexray {

/// A form in which traces can be written for other programs.
struct ExportFormat {
  std::string name;
  std::string summary;
};
std::vector<ExportFormat> export_formats();

struct ExportOptions {
  std::string format;  ///< the name of an ExportFormat
  std::filesystem::path output;
  bool force = false;  ///< replace what is there: a file, or a directory of a trace
  /// Layers of the transformer, for the forms that have rows of zeros for those without experts;
  /// 0: up to the last one with experts.
  int n_layers = 0;
  ReadOptions reading;
  const std::atomic<bool>* stop = nullptr;  ///< true once the work is to end
  /// Called often, with the number of prompts that were written; may be empty.
  std::function<void(std::size_t)> progress;
};

struct ExportResult {
  std::size_t n_prompts = 0;
  std::vector<std::string> notices;  ///< what the form cannot hold
};

/// Refuses, without changing anything, what export_traces() could not write.
/// @throws Error (usage) if something is there (without `force`), is no file or trace that may be
/// replaced, or would lie in one of the traces' own directories; (runtime) if the place cannot be
/// written.
void check_export(const TraceSet& traces, const ExportOptions& options);

/// Writes traces in another form, verifying the events as they are read. It appears under its name
/// when it is complete; the same traces and options give the same bytes. Memory is bounded by the
/// longest prompt, the lines of prompts.jsonl and, for `npz`, the counts; `safetensors` holds
/// everything.
/// @throws Error as check_export() does; (data) for damaged traces, and for facts that the form
/// needs and the traces lack; (interrupted).
ExportResult export_traces(const TraceSet& traces, const ExportOptions& options);

}  // namespace moexray
