#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "analysis_input.h"
#include "command.h"
#include "section.h"

namespace moexray::app {

using SectionFunction = Section (*)(const AnalysisInput&, const Arguments&);

/// For InAnalyze::is_required.
inline bool always(const Arguments&) { return true; }

/// How an analysis takes part in `analyze`, which reads one side.
struct InAnalyze {
  int place = 0;                 ///< sections stand, and are computed, in the order of their places
  std::string remark = {};       ///< behind its name in the help: "(with fewer draws)"
  std::vector<Flag> flags = {};  ///< those of its flags that `analyze` has too; a name counts once
  SectionFunction run = nullptr;  ///< in place of Analysis::run, with less work, say
  bool left_out_by_quick = false;
  /// True if `analyze` fails where the analysis does; else what the data do not allow is left out
  /// and said. None: false.
  bool (*is_required)(const Arguments&) = nullptr;
};

/// One row of the table of analyses: a command, and perhaps a section of `analyze`.
struct Analysis {
  std::string name = {};
  CommandGroup group = CommandGroup::analysis;
  std::string summary = {};      ///< one line
  std::string description = {};  ///< what it computes and writes
  std::vector<Flag> flags = {};  ///< beside those of all analyses
  std::vector<Example> examples = {};
  Needs needs = {};
  /// A flag for each side beyond the first, which the positionals name: its trace directories, of
  /// FlagType::texts. A repeated one has a side for each time it is given.
  std::vector<Flag> other_sides = {};
  /// The same for sides that may be missing; `analyze` never has them.
  std::vector<Flag> optional_sides = {};
  std::optional<InAnalyze> in_analyze = {};
  /// Refuses arguments that do not go together, before anything is read. May be null.
  void (*check)(const Arguments&) = nullptr;
  SectionFunction run = nullptr;

  std::size_t n_sides() const { return 1 + other_sides.size(); }
};

/// The command that runs an analysis alone.
Command command_of(const Analysis& analysis);

/// `analyze`: the analyses of the table that take part in it, in one pass over the events.
/// @param table must outlive the command
Command analyze_command(std::span<const Analysis> table);

/// One analysis in a run of one or several.
struct SectionRun {
  std::string name;
  SectionFunction run = nullptr;
  bool is_required = true;  ///< else an Error (data) leaves the section out
  int row = 0;              ///< Section::row
  Needs needs = {};         ///< of its own
};

/// What a command runs: one analysis or several, with what is made of them together.
struct AnalysisRun {
  std::string command;
  std::vector<SectionRun> sections = {};
  Needs needs = {};
  std::vector<Flag> other_sides = {};
  /// A section that is made of all others: it stands last.
  std::function<Section(const AnalysisInput&, const std::vector<Section>&)> closing_section = {};
  /// Files of the output directory that are made from all sections together.
  /// @param written the names of the files that are there already
  std::function<std::vector<OutputFile>(const AnalysisInput&, const std::vector<Section>&,
                                        const std::set<std::string>& written)>
      closing_files = {};
  /// What is printed in place of the sections' documents, in lines of at most `width` columns.
  std::function<std::string(const AnalysisInput&, const std::vector<Section>&, std::size_t width)>
      summary = {};
};

/// Runs an analysis command: reads the traces once, computes the sections, writes the output
/// directory (with report.json) and the JSON file if they are wanted, and prints.
///
/// The JSON of a command with one section has the section's keys beside `moexray`, `trace` and
/// `selection`; report.json, and the JSON of a command with several, holds them under the section's
/// name.
void run_analysis(const AnalysisRun& run, const Arguments& arguments, Console& console);

}  // namespace moexray::app
