#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moexray/checkpoint/config.h"
#include "moexray/runtime/generate.h"
#include "moexray/runtime/model.h"
#include "moexray/text/chat_template.h"
#include "moexray/text/tokenizer.h"
#include "moexray/trace/manifest.h"
#include "moexray/trace/prompts.h"
#include "moexray/trace/recording.h"
#include "moexray/trace/writer.h"

namespace moexray {

/// What a trace is asked to do with a model and prompts.
struct TraceSettings {
  GenerationOptions generation;  ///< eos_token_ids are taken from the model
  std::string dtype = "bfloat16";
  std::int64_t batch = 0;         ///< 0: as memory_bytes allows
  std::int64_t memory_bytes = 0;  ///< for caches and records of one batch
  std::size_t limit = 0;          ///< first prompts of the file; 0: all
  Shard shard;
  EventsForm events = EventsForm::grouped;
  bool compress = false;
  bool calibrates = false;   ///< choose prompts that shadow routers are calibrated on
  std::string prompts_name;  ///< the prompts file in errors
};

/// What followed a prompt whose recorded tokens are fed again.
struct ReplayedTail {
  std::vector<TokenId> token_ids;  ///< [G]
  std::optional<std::string> completion;
  std::string finish_reason;
};

/// A trace that is ready to start: prompts checked and planned, no weights needed so far.
struct TraceJob {
  std::vector<Prompt> prompts;             ///< those of this shard
  std::vector<TokenizedPrompt> tokenized;  ///< [prompts]
  /// [prompts] of a replay, where nothing is generated; else empty.
  std::vector<ReplayedTail> replayed = {};
  GenerationOptions generation;
  /// The first tokens of prompts of the whole file, whatever the shard: evenly spread, at most
  /// max_calibration_tokens in all. Those that cannot be tokenised are passed over.
  std::vector<std::vector<TokenId>> calibration = {};
  /// [calibration] the same as a pass of the first batch; empty where that does not have them all,
  /// or a pass has no room for them.
  std::vector<CalibrationPass::Part> calibration_parts = {};
  /// Without what record_backend() adds, and `model.weights_xxh3`.
  TraceManifest manifest;
};

/// What a checkpoint says of a traced model: all but `dtype` and `weights_xxh3`.
ManifestModel manifest_model(const ModelConfig& config, const std::string& router_sha256);

/// Selects, tokenises and checks the prompts, and plans the batches.
/// @throws Error (data) that lists all prompts that cannot be traced (20 of them, and the number of
/// the rest):
///   not tokenisable, without tokens, or longer with their new tokens than the model's context;
///   Error (interrupted) when `stop` is set.
TraceJob plan_trace(const TraceSettings& settings, PromptSet prompts, const ModelConfig& config,
                    const std::string& router_sha256, const Tokenizer& tokenizer,
                    const ChatTemplate& chat_template, const std::atomic<bool>& stop);

/// The same for the tokens that a trace recorded, generated ones included: so that every position
/// of the new trace is that of the recorded one, whatever the model would have said. The settings
/// of generation in the manifest are the recorded ones, whatever `settings` say.
/// @throws Error (data) that lists the prompts that do not fit the model: tokens outside its
///   vocabulary, tokens that its tokenizer calls by another name (where names were recorded; else a
///   tokenizer with another hash), or more of them than its context.
TraceJob plan_replay(const TraceSettings& settings, Recording recording, const ModelConfig& config,
                     const std::string& router_sha256, const Tokenizer& tokenizer);

/// The manifest of the trace that a shadow router would have made, beside that of the model's own
/// router: for TraceOutput::shadow_directory().
TraceManifest shadow_manifest(const TraceManifest& own, const ManifestShadow& shadow);

/// Adds to a manifest what its bytes depend on beside model, prompts and settings: device, backend,
/// kernels and the class of their bits. @throws Error as kernels_in_use() does.
void record_backend(const ModelOptions& options, const RuntimeInfo& info, TraceManifest& manifest);

/// What may stand in the directory that a trace is written to.
enum class TraceStart {
  fresh,    ///< nothing
  replace,  ///< a trace, which the first batch replaces
  resume    ///< the same run, unfinished, which is continued
};

/// Where a trace is written.
struct TraceOutput {
  std::filesystem::path directory;
  TraceStart start = TraceStart::fresh;

  /// Checks, without changing anything, all that can be known before the weights are read.
  /// @throws Error as TraceWriter::check_create() and check_resume() do.
  void check(const TraceManifest& manifest) const;

  /// True if the directory is resumed and nothing is left to do. @throws Error as
  /// TraceWriter::is_finished() does.
  bool is_finished(const TraceJob& job) const;

  /// @throws Error as TraceWriter::create() and resume() do.
  TraceWriter open(const TraceJob& job, const WriterOptions& options = {}) const;

  /// Where --shadow-events puts the trace of a shadow: "shadows/random-1-load-matched" in the
  /// directory.
  std::filesystem::path shadow_directory(const ManifestShadow& shadow) const;
  /// Opens them all. The directory itself must be open.
  std::vector<TraceWriter> open_shadows(const TraceJob& job) const;
};

/// How far a run has come, in tokens that go through the model.
struct TraceProgress {
  std::int64_t n_done = 0;
  std::int64_t n_expected = 0;         ///< in all; falls where sequences end early
  std::optional<double> seconds_left;  ///< nothing: cannot be said yet
};

/// Hears of the progress after every forward pass.
using OnTraceProgress = std::function<void(const TraceProgress&)>;

/// Runs the batches that `writer` still lacks, the first of a trace with the calibration that
/// job.generation has, whose biases `writer` then gets; each is committed while the next one is
/// computed. Between forward passes `stop` is looked at. A run that fails before its first prompt
/// is on disk leaves nothing behind.
/// @throws Error (interrupted) that tells how many prompts are on disk, and what generate() and the
/// writer throw.
///
/// @param shadow_writers [job.generation.shadows] where shadows have traces of their own, else
///   empty. A batch is committed to them before it is to `writer`; one that they have already is
///   passed over.
void run_trace(const TraceJob& job, TraceWriter& writer, Model& model, const Tokenizer& tokenizer,
               const std::atomic<bool>& stop, const OnTraceProgress& on_progress = {},
               std::span<TraceWriter> shadow_writers = {});

/// The text of the generated ids as it follows the prompt's: bytes that are not UTF-8 yet become
/// U+FFFD, special tokens and ids that the tokenizer does not know are left out.
std::string decode_completion(const Tokenizer& tokenizer, std::span<const TokenId> prompt_ids,
                              std::span<const TokenId> generated_ids);

}  // namespace moexray
