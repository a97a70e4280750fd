#pragma once

#include <atomic>
#include <cassert>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis_flags.h"
#include "console.h"
#include "moexray/report/json.h"
#include "moexray/stats/compared_prompts.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"
#include "moexray/trace/origin.h"
#include "moexray/trace/reader.h"

namespace moexray::app {

/// What an analysis takes from the traces beside their prompts.
struct Needs {
  bool signatures = true;  ///< false: it reads the events of Side::traces as it likes
  bool tokens = false;     ///< Side::tokens, which go by the rows of the signatures
  /// With `tokens`: it can do without them. Of counts Side::tokens is empty, and whole prompts are
  /// compared.
  bool takes_counts = false;
  /// With `tokens`: those of the first side have the weights of their experts, and where router
  /// logits were recorded what they say of the experts that come next.
  bool ranks = false;
  bool takes_pool = false;  ///< also of counts that are no prompts'
};

/// One of the things that are compared: traces that are read as one, and what was made of them. It
/// can be moved and not copied, because it may take much of the memory.
struct Side {
  Side() = default;
  Side(Side&&) = default;
  Side& operator=(Side&&) = default;

  std::string name;  ///< of the first directory; a letter where two sides would be called the same
  TraceSet traces;
  stats::Signatures signatures;  ///< without rows unless Needs::signatures
  /// [rows of the signatures] each prompt's group by --group-by, empty where it has none; no
  /// entries without the flag.
  std::vector<std::string> groups;
  stats::RoutedTokens tokens;       ///< empty unless Needs::tokens
  stats::ComparedPrompts compared;  ///< what tests of labels look at; as `tokens`
};

/// What analyses start from: the traces, each read once.
struct AnalysisInput {
  AnalysisSettings settings;
  std::vector<Side> sides;  ///< as AnalysisSettings::sides; they may differ in shape and prompts
  const std::atomic<bool>* stop = nullptr;  ///< true once the user wants long work to end
  Console* console = nullptr;               ///< for the progress of long work

  /// The only side, for an analysis that has one.
  const Side& side() const {
    assert(sides.size() == 1);
    return sides.front();
  }
};

/// Reads the traces of every side once. Tells notices.
/// @param check_outputs refuses what cannot be written: called once the traces are known to be
///        there, and before they are read
AnalysisInput read_analysis_input(
    AnalysisSettings settings, const Needs& needs, Console& console,
    const std::function<void(const AnalysisSettings&)>& check_outputs);

/// "mini-olmoe: 80 prompts, 16 layers × 64 experts, top-8; all tokens", and below it where the
/// trace comes from if moexray did not record it: origin_text(). Lines for every side, each with
/// its name, if there are several.
std::string trace_line(const AnalysisInput& input);

/// Refuses sides that have counts, or a pool, of an analysis that needs more.
/// @throws Error (data) naming the analysis.
void check_takes(const AnalysisInput& input, const std::string& analysis, const Needs& needs);

/// What a selection depends on.
NeededFacts needed_facts(const stats::Selection& selection);

/// The version of the JSON's format: it changes when a key changes its name or its meaning, or is
/// taken away. New keys alone leave it as it is.
inline constexpr int report_format = 1;

/// The member `moexray` of every command's JSON; `seed` is to be added where there is one.
report::Json program_json(std::string_view command);

/// The first members of a command's JSON: `moexray`, `trace` (of several sides `traces`),
/// `selection`.
report::Json analysis_head(const std::string& command, const AnalysisInput& input);

}  // namespace moexray::app
