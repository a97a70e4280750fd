#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "moexray/trace/manifest.h"

namespace moexray::trace {

/// Looks at the traces of a set that are shards: whether they are parts of one prompts file, none
/// of them is there twice, and none is missing. Whole runs, and whole sets of shards, of different
/// prompts may be read together.
/// @returns the shards that are missing, with their numbers.
/// @throws Error (data) naming the key if shards of different prompts, or of different numbers of
///   prompts (--limit), were put together, or if one is there twice.
std::vector<std::string> check_shards(std::span<const TraceManifest> manifests,
                                      std::span<const std::filesystem::path> directories);

}  // namespace moexray::trace
