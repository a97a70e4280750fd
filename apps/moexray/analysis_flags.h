#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "command.h"
#include "moexray/stats/selection.h"
#include "moexray/trace/reader.h"

namespace moexray::app {

/// Trace directories that are read as one trace: the parts of a sharded run, say.
using Directories = std::vector<std::filesystem::path>;

/// What every analysis command is told by its flags.
struct AnalysisSettings {
  std::vector<Directories> sides;               ///< what is analysed, or compared
  std::optional<std::filesystem::path> output;  ///< -o
  std::string json;                             ///< --json: a file, "-" for stdout, empty for none
  bool force = false;
  std::uint64_t seed = 0;
  stats::Selection selection;
  std::int64_t common_tokens = 0;  ///< that tests of labels compare; 0: by rule
  ReadOptions reading;
  int n_threads = 1;

  /// Those of all sides.
  Directories directories() const;
};

/// The value of a flag that takes a key of the prompts' lines, "meta.KEY"; empty if it was not
/// given.
/// @throws Error (usage)
std::string meta_key(const Arguments& arguments, std::string_view flag);

/// The positional of every analysis command.
std::vector<Positional> trace_positionals();

/// The flags of every analysis command, behind those of its own.
/// @param default_output of -o; empty: nothing is written unless it is given.
std::vector<Flag> with_analysis_flags(std::vector<Flag> own,
                                      const std::string& default_output = {});

/// --group-by, for the commands whose results depend on what is independent of what.
Flag group_by_flag();

/// --common-tokens, for the commands that test labels.
Flag common_tokens_flag();

/// Reads the flags of with_analysis_flags; a command may do without --output and --seed.
/// @param first_trace how many positionals stand before the trace directories of the first side
/// @param other_sides flags, of one or several texts, that name the trace directories of one more
///        side each; a repeated one, of one each time
/// @throws Error (usage)
AnalysisSettings analysis_settings(const Arguments& arguments, std::size_t first_trace = 0,
                                   std::span<const Flag> other_sides = {});

}  // namespace moexray::app
