#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "byte_buffer.h"
#include "committed.h"
#include "disk_file.h"
#include "moexray/trace/manifest.h"
#include "moexray/trace/writer.h"
#include "shadow_file.h"
#include "zstd_frames.h"

namespace moexray::trace {

/// Refuses a prompt that its writer cannot take. @throws Error (runtime) naming prompt and reason.
[[noreturn]] void refuse_prompt(const FinishedPrompt& prompt, std::string_view what);

/// Checks, without changing anything, that a trace could be started in a directory.
/// @throws Error (usage) if it must not be replaced, (runtime) if it cannot be written.
void check_startable(const std::filesystem::path& directory, bool force);

/// prompts.jsonl of a directory, which is made if it is not there. @throws Error (runtime) if it
/// cannot be made, or another program holds its lock.
DiskFile locked_prompts_file(const std::filesystem::path& directory);

/// The files of a trace directory while it is written, whatever plan is followed or none. Prompts
/// come one by one and are committed together: their events are synced to disk, then their lines.
class DirectoryWriter {
 public:
  /// Starts a directory, which must be unused, or hold a trace that `force` allows to replace: that
  /// one stays as it is until begin() or the first prompt.
  /// @throws Error as check_startable() does.
  static std::unique_ptr<DirectoryWriter> create(const std::filesystem::path& directory,
                                                 const TraceManifest& manifest, bool force,
                                                 const WriterOptions& options);

  /// Continues a directory behind what is `kept`.
  static std::unique_ptr<DirectoryWriter> resume(const std::filesystem::path& directory,
                                                 const TraceManifest& manifest,
                                                 const WriterOptions& options,
                                                 DiskFile prompts_file, const Committed& kept);

  /// Puts an empty trace in the place of an old one, if that still stands.
  void begin();

  /// Sets WriterOptions::shadow_biases. @throws Error (runtime) once there was a prompt.
  void set_shadow_biases(std::vector<std::vector<float>> biases);

  /// Checks that a prompt fits the manifest, and what it says of itself. @throws Error (runtime).
  void check(const FinishedPrompt& prompt) const;

  /// Writes the events of a prompt. If that fails, everything since the last commit is cut off
  /// again.
  /// @throws Error as check() does; Error (runtime) naming the file if the disk is full or fails;
  /// Error (data) for weights or logits that are not finite.
  void append(const FinishedPrompt& prompt);

  /// Syncs what was appended, and only then writes the lines. A failure cuts as that of append().
  void commit();

  /// Replaces the manifest, in memory and on disk.
  void set_manifest(TraceManifest manifest);

  /// Takes a directory that create() has started, and in which nothing was committed, away again.
  void discard_if_empty() noexcept;

  const TraceManifest& manifest() const { return manifest_; }
  std::size_t n_prompts() const { return n_prompts_; }            ///< committed
  std::uint64_t n_event_bytes() const { return n_event_bytes_; }  ///< committed, in all files

 private:
  DirectoryWriter(std::filesystem::path directory, TraceManifest manifest,
                  const WriterOptions& options, DiskFile prompts_file)
      : directory_(std::move(directory)),
        manifest_(std::move(manifest)),
        options_(options),
        prompts_file_(std::move(prompts_file)) {}

  void cut_to(const Committed& kept);
  void start();
  void begin_shadows();
  void begin_group();
  void open_events(std::size_t index);
  std::string write_events(const FinishedPrompt& prompt);
  void cut_group() noexcept;
  bool has_shadows() const { return !manifest_.shadows.empty(); }
  ShadowHeader shadow_header() const;

  std::filesystem::path directory_;
  TraceManifest manifest_;
  WriterOptions options_;
  DiskFile prompts_file_;
  std::vector<std::filesystem::path> made_directories_;  // the innermost first
  bool is_new_ = false;                                  // not resumed
  bool is_waiting_ = false;                              // for its first prompt, to start
  bool is_broken_ = false;                               // what had to be cut off is still there
  DiskFile events_file_;
  std::size_t events_index_ = 0;
  std::uint64_t n_event_bytes_ = 0;
  std::size_t n_prompts_ = 0;
  // Since the last commit.
  std::size_t n_appended_ = 0;
  std::string lines_;
  std::uint64_t group_begin_ = 0;  // in the events file: what lies behind is not committed
  ShadowFile shadows_file_;
  ByteBuffer records_;
  FrameCompressor compressor_;
};

}  // namespace moexray::trace
