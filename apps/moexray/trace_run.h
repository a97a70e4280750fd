#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "console.h"
#include "moexray/checkpoint/config.h"
#include "moexray/runtime/generate.h"
#include "moexray/runtime/model.h"
#include "moexray/text/chat_template.h"
#include "moexray/text/tokenizer.h"
#include "moexray/trace/manifest.h"
#include "moexray/trace/prompts.h"
#include "moexray/trace/writer.h"

namespace moexray::app {

/// What `moexray trace` is asked to do with a model and prompts.
struct TraceSettings {
  GenerationOptions generation;  ///< eos_token_ids are taken from the model
  std::string dtype = "bfloat16";
  std::string device = "cpu";
  std::string kernels = "fast";
  std::int64_t batch = 0;         ///< 0: as memory_bytes allows
  std::int64_t memory_bytes = 0;  ///< for caches and records of one batch
  std::size_t limit = 0;          ///< first prompts of the file; 0: all
  Shard shard;
  EventsForm events = EventsForm::grouped;
  bool compress = false;
  std::string prompts_name;  ///< the prompts file in errors
};

/// A trace that is ready to start: prompts checked and planned, no weights needed so far.
struct TraceJob {
  std::vector<Prompt> prompts;             ///< those of this shard
  std::vector<TokenizedPrompt> tokenized;  ///< [prompts]
  GenerationOptions generation;
  /// Without what the runtime knows (processor, device, backend, kernels) and `model.weights_xxh3`.
  TraceManifest manifest;
};

/// Selects, tokenises and checks the prompts, and plans the batches.
/// @throws Error (data) that lists all prompts that cannot be traced (20 of them, and the number of
/// the rest):
///   not tokenisable, without tokens, or longer with their new tokens than the model's context.
TraceJob plan_trace(const TraceSettings& settings, PromptSet prompts, const ModelConfig& config,
                    const std::string& router_sha256, const Tokenizer& tokenizer,
                    const ChatTemplate& chat_template, const Console& console);

/// Runs the batches that `writer` still lacks; each is committed while the next one is computed.
/// @throws Error (interrupted) that tells how to go on, and what generate() and the writer throw.
void run_trace(const TraceJob& job, TraceWriter& writer, Model& model, const Tokenizer& tokenizer,
               Console& console);

/// A finished trace directory in a few lines, read back from disk.
std::string trace_summary(const std::filesystem::path& directory);

/// The text of the generated ids as it follows the prompt's: bytes that are not UTF-8 yet become
/// U+FFFD, special tokens and ids that the tokenizer does not know are left out.
std::string decode_completion(const Tokenizer& tokenizer, std::span<const TokenId> prompt_ids,
                              std::span<const TokenId> generated_ids);

}  // namespace moexray::app
