#pragma once

#include <string>

#include "moexray/trace/reader.h"

namespace moexray {

/// What was read, where moexray did not record it: "imported from vllm 0.33.0: no weights, order of
/// experts unknown". A line a different text; empty for traces of version 1, of which nothing more
/// is known than what they hold.
std::string origin_text(const TraceSet& traces);

/// True if the experts of every record stand in the router's order, the most probable first.
bool has_expert_order(const TraceSet& traces);

/// Parts of a trace that an analysis may depend on.
struct NeededFacts {
  bool weights = false;         ///< those that the model applied
  bool template_marks = false;  ///< which tokens the chat template added
  bool prompt_tokens = false;   ///< some position of a prompt
  bool tokens = false;          ///< single tokens, of which the prompt's can be told from others
};

/// Refuses traces of version 2 that lack what is needed. @throws Error (data) that names the fact.
void check_facts(const TraceSet& traces, const NeededFacts& needed);

}  // namespace moexray
