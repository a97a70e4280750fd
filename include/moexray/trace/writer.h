#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moexray/core/expert_sets.h"
#include "moexray/core/routing.h"
#include "moexray/core/routing_buffer.h"
#include "moexray/trace/manifest.h"
#include "moexray/trace/positions.h"
#include "moexray/trace/prompts.h"

namespace moexray {

/// A prompt whose generation has ended, ready to be written. What a source does not know is left
/// empty: a TraceWriter wants all of it, a TraceStreamWriter only the routing.
struct FinishedPrompt {
  const Prompt* prompt = nullptr;        ///< not owned; its text may be empty
  std::vector<TokenId> token_ids;        ///< [P + G] ([T] if G is not known), or empty
  std::vector<std::string> tokens;       ///< as many, vocabulary entries, or empty
  std::int64_t n_prompt_tokens = 0;      ///< P
  std::int64_t n_generated_tokens = -1;  ///< G; −1: not known
  std::vector<bool> is_template;         ///< [P], or empty: not known
  std::optional<std::string> completion;
  std::string finish_reason;             ///< "eos" or "length", or empty
  RoutingBuffer routing;                 ///< T positions: n_forward_tokens(P, G) where G is known
  std::vector<ExpertSets> shadows = {};  ///< [TraceManifest::shadows] T positions each
  /// Which positions the rows of `routing` are; empty: all from 0. A trace of version 2 can have
  /// others, and token_ids then reach up to the last one at least.
  std::vector<PositionRange> positions = {};
  /// [P + G − 1] ln p of each token but the first; only where TraceManifest::score.
  std::vector<float> logprobs = {};
};

/// What a writer found when it continued a directory.
struct ResumeState {
  std::size_t n_batches = 0;      ///< complete batches kept
  std::size_t n_prompts = 0;      ///< prompts in them; work goes on with the next one
  std::size_t n_cut_prompts = 0;  ///< lines of unfinished or damaged batches that were cut
};

struct WriterOptions {
  /// A new events file starts at the first batch after the current one has reached this size (in
  /// bytes on disk). It decides the bytes of a trace: only tests change it.
  std::uint64_t max_file_bytes = std::uint64_t{256} << 20;
  /// [TraceManifest::shadows] those of a load-matched one, [L, E]; empty for others.
  std::vector<std::vector<float>> shadow_biases = {};
};

/// Writes a trace directory, batch by batch. A batch is committed once its events are synced to
/// disk and its lines stand in prompts.jsonl; whatever stops the program, resume() continues after
/// the last committed batch, and the finished directory has the bytes of an uninterrupted run. One
/// writer has a directory at a time (a lock on prompts.jsonl). Memory is bounded by the largest
/// prompt.
class TraceWriter {
 public:
  /// Checks, without changing anything, that create() could start a directory: it may be replaced,
  /// and the file system lets it be written.
  /// @throws Error as create() does.
  static void check_create(const std::filesystem::path& directory, bool force);

  /// Checks, without changing anything, that resume() would take a directory up. An empty
  /// `wanted.model.weights_xxh3` is not known yet and not compared.
  /// @throws Error as resume() does.
  static void check_resume(const std::filesystem::path& directory, TraceManifest wanted);

  /// True if nothing is left for resume() to do; changes nothing either.
  /// @throws Error as resume() does.
  static bool is_finished(const std::filesystem::path& directory, const TraceManifest& wanted,
                          std::span<const Prompt> prompts);

  /// Starts a directory and writes its manifest. An existing directory must be empty, unless
  /// `force` is given and it holds the manifest of a trace of moexray: then its manifest, prompts
  /// and events, which are known by their names, are replaced when the first batch is committed,
  /// at once if the plan has none (other files stay).
  /// @throws Error (usage) for a directory that must not be replaced, (runtime) if it cannot be
  /// written or another program is writing it.
  static TraceWriter create(const std::filesystem::path& directory, const TraceManifest& manifest,
                            bool force, const WriterOptions& options = {});

  /// Continues a directory: checks that its manifest is that of the same run (check_same_run),
  /// keeps the recorded batch and plan, and cuts everything after the last complete batch. A
  /// directory that is missing, empty, or was left before its manifest was written is started
  /// afresh. `prompts` are all prompts of the run in order, [n_prompts].
  /// @throws Error (data) if the manifest differs, or a line is damaged that is not part of an
  /// unfinished tail.
  static TraceWriter resume(const std::filesystem::path& directory, const TraceManifest& wanted,
                            std::span<const Prompt> prompts, const WriterOptions& options = {});

  ~TraceWriter();
  TraceWriter(TraceWriter&& other) noexcept;
  TraceWriter& operator=(TraceWriter&& other) noexcept;

  /// Sets WriterOptions::shadow_biases, which a run may know only with its first batch: that is
  /// when they are written. @throws Error (runtime) if there are prompts already.
  void set_shadow_biases(std::vector<std::vector<float>> biases);

  /// Writes the next batch of the plan: the records prompt by prompt, synced to disk, then the
  /// lines, synced.
  /// @throws Error (runtime) naming the file if the disk is full or fails; the batch is then cut
  /// off again and everything committed before stays as it is. Error (data) for weights or logits
  /// that are not finite.
  void commit_batch(std::span<const FinishedPrompt> batch);

  /// Takes a directory that create() has started, and in which no batch was committed, away again:
  /// its files, and the directory itself if it was made for them. Does nothing otherwise, nor to
  /// what cannot be removed.
  void discard_if_empty() noexcept;

  const TraceManifest& manifest() const;    ///< with the plan that is followed
  const ResumeState& resume_state() const;  ///< all zero after create()
  std::size_t n_committed_batches() const;  ///< of manifest().plan
  std::size_t n_committed_prompts() const;
  bool finished() const;                ///< every batch of the plan is committed
  std::uint64_t n_event_bytes() const;  ///< bytes of events on disk so far, in all files

 private:
  class Impl;
  explicit TraceWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moexray
