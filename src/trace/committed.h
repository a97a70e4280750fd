#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "moexray/trace/manifest.h"
#include "moexray/trace/prompts.h"

namespace moexray::trace {

/// How far a trace directory is written: the end of its last complete batch.
struct Committed {
  std::size_t n_batches = 0;
  std::size_t n_prompts = 0;
  std::size_t n_lines = 0;             ///< in prompts.jsonl, unfinished ones included
  std::uint64_t prompts_bytes = 0;     ///< of prompts.jsonl to keep
  std::size_t events_index = 0;        ///< the last events file to keep
  std::uint64_t events_bytes = 0;      ///< of it to keep; 0 with index 0: nothing
  std::uint64_t all_events_bytes = 0;  ///< of all events files to keep
};

/// Finds the last batch all of whose lines are whole and whose events are on disk.
/// @throws Error (data) for damage that is not an unfinished tail: a bad line with a later batch
/// behind it.
Committed find_committed(const std::filesystem::path& directory, const TraceManifest& manifest,
                         std::span<const Prompt> prompts);

}  // namespace moexray::trace
