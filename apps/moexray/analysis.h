#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "analysis_flags.h"
#include "command.h"
#include "console.h"
#include "moexray/report/document.h"
#include "moexray/report/figure.h"
#include "moexray/report/json.h"
#include "moexray/stats/compared_prompts.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"
#include "moexray/trace/reader.h"
#include "results.h"

namespace moexray::app {

/// What analyses start from: the traces, read once.
struct AnalysisInput {
  AnalysisSettings settings;
  TraceSet traces;
  stats::Signatures signatures;
  /// [rows of the signatures] each prompt's group by --group-by, empty where it has none; no
  /// entries without the flag.
  std::vector<std::string> groups;
  stats::RoutedTokens tokens;               ///< empty unless AnalysisRun::needs_tokens
  stats::ComparedPrompts compared;          ///< what tests of labels look at; as `tokens`
  const std::atomic<bool>* stop = nullptr;  ///< true once the user wants long work to end
  Console* console = nullptr;               ///< for the progress of long work
};

/// A file of the output directory. It is written to the path given, while the input still exists.
struct OutputFile {
  std::string name;
  std::function<void(const std::filesystem::path&)> write;
};

/// A file with this content.
OutputFile text_file(std::string name, std::string content);

/// The outcome of one analysis: what an analysis command shows and writes, and a part of `analyze`.
struct Section {
  std::string name;               ///< the command's; its key in report.json
  report::Json json;              ///< an object, or null if the analysis was left out
  report::Document document;      ///< for people
  std::vector<OutputFile> files;  ///< a name that another section wrote already is skipped
  std::vector<std::string> notices;
  std::vector<report::Figure> figures = {};
  Results results = {};       ///< what the section computed
  std::string left_out = {};  ///< why it computed nothing; empty: it did
};

using SectionFunction = Section (*)(const AnalysisInput&, const Arguments&);

/// Files of the output directory that are made from all sections together.
/// @param written the names of the files that are there already
using FilesFunction = std::vector<OutputFile> (*)(const AnalysisInput&, const std::vector<Section>&,
                                                  const std::set<std::string>& written);

/// A section that is made of all others: it stands last.
using ClosingFunction = Section (*)(const AnalysisInput&, const std::vector<Section>&);

/// What is printed of all sections together, in lines of at most `width` columns.
using SummaryFunction = std::string (*)(const AnalysisInput&, const std::vector<Section>&,
                                        std::size_t width);

/// What an analysis command consists of.
struct AnalysisRun {
  std::string command;
  std::vector<SectionFunction> sections;
  FilesFunction closing_files = nullptr;
  bool needs_tokens = false;  ///< a section looks at single tokens
  ClosingFunction closing_section = nullptr;
  SummaryFunction summary = nullptr;  ///< printed in place of the sections' documents
};

/// "mini-olmoe: 80 prompts, 16 layers × 64 experts, top-8; all tokens".
std::string trace_line(const AnalysisInput& input);

/// Reads the traces once: what every analysis starts from. Tells notices.
/// @param needs_tokens keep the routing of every token
/// @param check_outputs refuses what cannot be written: called once the traces are known to be
///        there, and before they are read
AnalysisInput read_analysis_input(
    AnalysisSettings settings, bool needs_tokens, Console& console,
    const std::function<void(const AnalysisSettings&)>& check_outputs);

/// The first members of a command's JSON: `moexray`, `trace`, `selection`.
report::Json analysis_head(const std::string& command, const AnalysisInput& input);

/// Runs an analysis command: reads the traces once, computes the sections, writes the output
/// directory (with report.json) and the JSON file if they are wanted, and prints.
///
/// The JSON of a command with one section has the section's keys beside `moexray`, `trace` and
/// `selection`; report.json, and the JSON of a command with several, holds them under the section's
/// name.
void run_analysis(const AnalysisRun& run, const Arguments& arguments, Console& console);

}  // namespace moexray::app
