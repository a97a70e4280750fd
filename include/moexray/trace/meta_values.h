#pragma once

#include <string>
#include <vector>

#include "moexray/trace/reader.h"

namespace moexray {

/// What each prompt has under a key of its `meta`, as text; empty where it has none.
/// @param key "meta.KEY"
/// @param what the values are for, in errors: "topic"
/// @return [prompts]
/// @throws Error (usage) for another key, Error (data) naming file and line of a value that is
/// neither a string nor a number
std::vector<std::string> meta_values(const TraceSet& traces, const std::string& key,
                                     const std::string& what);

}  // namespace moexray
