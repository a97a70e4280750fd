#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/routing.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/other_prompts.h"
#include "moexray/stats/selection.h"
#include "moexray/stats/signatures.h"
#include "moexray/trace/reader.h"

namespace moexray::app {

/// What the router of one layer did with a token.
struct TokenRouting {
  std::vector<ExpertId> experts =
      {};  ///< [k], most probable first if there is an order; empty: no record
  std::vector<float> weights = {};     ///< [k], or empty: not recorded
  double distance = stats::undefined;  ///< stats::RoutingDistance from the reference
};

struct ShownToken {
  std::int64_t pos = 0;
  TokenType type = TokenType::prompt;
  bool is_template = false;
  TokenId id = -1;                     ///< −1: not recorded
  std::string text;                    ///< with visible blanks; empty: not recorded
  std::vector<TokenRouting> layers;    ///< [L]
  double distance = stats::undefined;  ///< mean over layers
};

/// One prompt of a trace with the routing of every token.
struct ShownPrompt {
  const TracePrompt* prompt = nullptr;  ///< of the trace set, which must outlive this
  RoutingShape shape;
  std::string model_name;
  std::string origin;              ///< origin_text() of the trace
  bool has_order = true;           ///< of the experts of a token
  std::vector<ShownToken> tokens;  ///< by position
  std::string reference;           ///< what distances are measured from; empty: there are none
  std::vector<double> typical;     ///< [L] mean distance of the reference's own tokens
  std::vector<double> uniform;     ///< [L] mean distance of uniformly routed tokens

  bool has_distances() const { return !reference.empty(); }
};

/// The index of the prompt with this id.
/// @throws Error (data) naming ids that look like it.
std::size_t find_prompt(const TraceSet& traces, const std::string& id);

/// Reads the events of one prompt.
ShownPrompt read_shown_prompt(const TraceSet& traces, std::size_t index,
                              const ReadOptions& reading);

/// Reads the events of several prompts in one pass over the trace.
/// @param indices of different prompts
/// @param stop ends the work with an Error (interrupted) once it is true
std::vector<ShownPrompt> read_shown_prompts(const TraceSet& traces,
                                            std::span<const std::size_t> indices,
                                            const ReadOptions& reading,
                                            const std::atomic<bool>& stop);

/// The signatures of all prompts of a trace, which takes a pass over all events.
/// @param stop ends the work with an Error (interrupted) once it is true
stats::Signatures read_signatures(const TraceSet& traces, const stats::Selection& selection,
                                  const ReadOptions& reading, const std::atomic<bool>& stop);

/// Fills in distances from the mean signature of the other prompts of the same category (of all
/// other prompts if this one has no category).
/// @param row of the prompt among the signatures of `others`; none if it has no signature
/// @return why there are no distances; empty if there are.
std::string add_distances(const stats::OtherPrompts& others, std::optional<std::size_t> row,
                          ShownPrompt& shown);

/// The mean of the defined ones.
double defined_mean(const std::vector<double>& values);

/// "prompt", "template" or "generation".
std::string_view type_name(const ShownToken& token);

/// A vocabulary entry as people read it: a blank is "␣", a line end "⏎", a tab "⇥". Entries of a
/// byte-level vocabulary are turned back into the bytes that they stand for.
std::string visible_token(std::string_view token, std::string_view tokenizer_kind);

}  // namespace moexray::app
