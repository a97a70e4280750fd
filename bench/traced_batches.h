#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "moexray/runtime/generate.h"
#include "moexray/trace/background_writer.h"
#include "moexray/trace/writer.h"

namespace moexray::bench {

/// Generates batches as `moexray trace` does, routing collected and written, without a tokenizer:
/// prompts are ids, and no text is decoded.
class TracedBatches {
 public:
  /// Starts a trace in `directory`, which must not exist, for batches of these sizes. The directory
  /// is removed with the object.
  TracedBatches(const std::filesystem::path& directory, const ModelConfig& config,
                const std::string& kernels, std::vector<std::int64_t> plan);
  ~TracedBatches();
  TracedBatches(const TracedBatches&) = delete;
  TracedBatches& operator=(const TracedBatches&) = delete;

  /// Runs the next batch, greedily and without an early end, until its last byte is on disk. (In a
  /// trace of several batches the next one would be computed meanwhile.)
  void run(Model& model, std::span<const std::span<const TokenId>> prompts,
           std::int64_t n_new_tokens);

  std::uint64_t n_event_bytes() const { return writer_->n_event_bytes(); }

 private:
  std::filesystem::path directory_;
  std::vector<Prompt> prompts_;
  std::size_t n_started_ = 0;
  std::unique_ptr<TraceWriter> writer_;
};

/// The same generation without hooks and writing: no tap, nothing kept but the tokens.
void generate_untraced(Model& model, std::span<const std::span<const TokenId>> prompts,
                       std::int64_t n_new_tokens);

}  // namespace moexray::bench
