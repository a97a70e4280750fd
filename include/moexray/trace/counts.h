#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "moexray/trace/manifest.h"
#include "moexray/trace/reader.h"

namespace moexray {

/// A directory of counts has `counts.npy`, int64 [N, L, E]: how many events of prompt i selected
/// expert e at layer l; beside it prompts.jsonl, whose line i is that of row i, and a manifest of
/// version 2 with `recorded.kind` "counts", or "pool" where the one row is of a pool of tokens
/// that is no prompt (docs/trace-format.md).

/// True if the set has counts in place of events.
bool has_counts(const TraceSet& traces);

/// True if they are those of pools.
bool has_pool(const TraceSet& traces);

/// @throws Error (data) naming the directory, if the set has counts in place of events.
void check_has_tokens(const TraceSet& traces);

/// Reads counts, a prompt at a time.
class CountsReader {
 public:
  /// @param traces must outlive the reader
  /// @throws Error (data) if a counts.npy is not an array of integers [N, L, E] of the manifest's
  /// shape.
  explicit CountsReader(const TraceSet& traces);
  ~CountsReader();
  CountsReader(const CountsReader&) = delete;
  CountsReader& operator=(const CountsReader&) = delete;

  /// [L, E] the counts of one prompt of the set.
  /// @throws Error (data) for counts that are negative or beyond 63 bits, for another number of
  /// events than the prompt's line says, or damaged ones: where the line has a checksum it must
  /// be that of the row.
  std::vector<std::int64_t> read(std::size_t prompt) const;

 private:
  struct Part;
  const TraceSet& traces_;
  std::vector<std::unique_ptr<Part>> parts_;  // [directories]
};

/// Writes the files of a directory of counts, a prompt at a time. Memory is bounded by the largest
/// prompt and the lines.
class CountsWriter {
 public:
  /// Begins `counts.npy` and `prompts.jsonl` in a directory that is there; neither may be.
  /// @param shape k may be 0: not known
  /// @throws Error (runtime) if they cannot be written, as the others do.
  CountsWriter(const std::filesystem::path& directory, const RoutingShape& shape);
  ~CountsWriter();
  CountsWriter(const CountsWriter&) = delete;
  CountsWriter& operator=(const CountsWriter&) = delete;

  /// @param prompt id, category, text and meta; where all of its tokens are counted also their
  ///        numbers and positions
  /// @param counts [L, E]
  void append(const TracePrompt& prompt, std::span<const std::int64_t> counts);

  /// Syncs both files and writes the manifest.
  /// @param facts everything but version, kind, shape and number of prompts, which are set here
  /// @param is_pool the one row is no prompt
  void finish(TraceManifest facts, bool is_pool = false);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moexray
