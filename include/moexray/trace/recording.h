#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moexray/core/routing.h"
#include "moexray/trace/manifest.h"
#include "moexray/trace/prompts.h"

namespace moexray {

/// The tokens of a prompt and of what followed it, as a trace recorded them.
struct RecordedSequence {
  Prompt prompt;
  std::string where;                 ///< "traces/prompts.jsonl:3"
  std::vector<TokenId> token_ids;    ///< [P + G]
  std::vector<std::string> tokens;   ///< [P + G], or empty: not recorded
  std::int64_t n_prompt_tokens = 0;  ///< P, at least 1
  std::vector<bool> is_template;     ///< [P], or empty: not recorded
  std::optional<std::string> completion;
  std::string finish_reason;

  std::int64_t n_generated_tokens() const {
    return static_cast<std::int64_t>(token_ids.size()) - n_prompt_tokens;
  }
};

/// What a trace recorded but its routing: enough to feed the same tokens through a model again.
struct Recording {
  std::vector<RecordedSequence> sequences;  ///< in the order of the trace
  ManifestGeneration generation;            ///< how the generated tokens came about
  ManifestTokenizer tokenizer;
  ManifestReplay identity;
};

/// Reads traces as open_traces() does, all of them: and their events, for the marks of template
/// tokens and because they check the ids.
/// @throws Error (data) as open_traces() and read_events() do, and naming the prompt for one
/// without token ids or the number of its prompt tokens.
Recording read_recording(std::span<const std::filesystem::path> directories);

}  // namespace moexray
