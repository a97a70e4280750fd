#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>

#include "moexray/trace/manifest.h"
#include "moexray/trace/writer.h"

namespace moexray {

/// Writes a trace directory of routing that something else recorded: prompts come one by one, in no
/// plan, and nobody knows ahead how many. What the source does not have (router weights, token ids,
/// texts, most keys of the manifest) is left out of the files.
///
/// What was committed is on disk, events before lines, each with its checksum. Until finish() the
/// manifest says that the trace is not finished, and readers refuse it unless they are told to
/// take what is there.
class TraceStreamWriter {
 public:
  /// Starts a directory. An existing one must be empty, unless `force` is given and it holds a
  /// trace that moexray wrote: that one is replaced when the first prompt comes.
  /// @param manifest bare_manifest() and what more is known; the number of prompts is counted
  /// @throws Error (usage) for a directory that must not be replaced, (runtime) if it cannot be
  /// written or another program is writing it; Error (data) for a manifest with a plan.
  static TraceStreamWriter create(const std::filesystem::path& directory, TraceManifest manifest,
                                  bool force, const WriterOptions& options = {});

  ~TraceStreamWriter();
  TraceStreamWriter(TraceStreamWriter&& other) noexcept;
  TraceStreamWriter& operator=(TraceStreamWriter&& other) noexcept;

  /// Writes the events of a prompt; its line is kept until commit().
  /// @throws Error (runtime) for a prompt that contradicts itself or the manifest, or, naming the
  /// file, if the disk is full or fails; Error (data) for weights or logits that are not finite.
  /// Everything since the last commit is then cut off again.
  void append(const FinishedPrompt& prompt);

  /// Brings what was appended to disk. A failure cuts it off as that of append() does.
  void commit();

  /// Commits, and writes the number of prompts into the manifest: the trace is finished. Nothing
  /// can be appended any more.
  /// @param facts what a manifest of version 2 says under `source`, `recorded` and `complete` and
  ///        what is known only now; `first_pos` is taken from the prompts, other keys are not
  void finish(const TraceManifest& facts);
  void finish();  ///< the same with what the manifest said at the start

  /// Takes a directory that create() has started, and in which nothing was committed, away again.
  void discard_if_empty() noexcept;

  const TraceManifest& manifest() const;
  std::size_t n_committed_prompts() const;

 private:
  class Impl;
  explicit TraceStreamWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moexray
