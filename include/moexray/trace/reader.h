#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moexray/core/routing.h"
#include "moexray/trace/manifest.h"
#include "moexray/trace/positions.h"

namespace moexray {

/// A prompt of a trace: its line in prompts.jsonl. What other software left out is empty or −1.
struct TracePrompt {
  std::string id;
  std::string category;  ///< empty: none given
  std::string group;     ///< what ReadOptions::group_key found; empty: none
  std::string text;      ///< the prompt, or its messages' contents joined by newlines
  std::vector<PromptMessage> messages;  ///< where the prompt was a conversation
  std::string completion;
  std::vector<TokenId> token_ids;   ///< [P + G]
  std::vector<std::string> tokens;  ///< [P + G]
  /// [P + G − 1] ln p of each token but the first, given those before it; empty: not scored.
  std::vector<float> logprobs;
  std::int64_t n_prompt_tokens = -1;
  std::int64_t n_template_tokens = -1;
  std::int64_t n_generated_tokens = -1;
  std::vector<PositionRange> positions;  ///< that have records; empty: all from 0
  std::string finish_reason;
  std::string meta_json = "{}";       ///< other keys of the prompt, a JSON object
  std::filesystem::path events_file;  ///< inside its trace directory
  std::int64_t offset = -1;
  std::int64_t n_bytes = -1;
  std::int64_t n_events = -1;
  std::string checksum;
  std::int64_t n_compressed_bytes = -1;  ///< of its zstd frame; −1: not compressed or not recorded
  std::int64_t line = 0;                 ///< of prompts.jsonl, from 1
  std::size_t part = 0;                  ///< which of the trace directories it came from
};

/// One or more trace directories that are read as one trace (the shards of a run, say).
struct TraceSet {
  RoutingShape shape;
  std::string model_name;
  std::string tokenizer_sha256;  ///< empty: not recorded
  std::vector<std::filesystem::path> directories;
  std::vector<TraceManifest> manifests;  ///< [directories]
  /// Ordered as in the directories, in the order these were given.
  std::vector<TracePrompt> prompts;
  /// What a user should know of the set: shards that are not there, parts that were computed by
  /// different kernels, and (with allow_partial) what was left out and why.
  std::vector<std::string> notices;
};

struct ReadOptions {
  bool allow_partial = false;  ///< use the complete prompts of an incomplete trace
  std::string category_key;    ///< "meta.KEY": take the category from there; empty: `category`
  int n_threads = 0;           ///< 0: all this process may use
  /// Keep text, completion and tokens of the prompts: most of the memory that a TraceSet takes.
  bool keep_texts = true;
  /// "meta.KEY": read each prompt's group from there; empty: no groups.
  std::string group_key = {};
  bool router_logits = false;  ///< give visitors the routers' logits where they are recorded
};

/// Opens trace directories: checks the manifests, that they come from the same model with the same
/// tokenizer and generation settings, that shards are parts of one prompts file, that prompt ids
/// are unique, and that no prompt is missing. What a manifest has not recorded is not compared.
/// @throws Error (data) naming file, line and key.
TraceSet open_traces(std::span<const std::filesystem::path> directories,
                     const ReadOptions& options);

/// Receives routing records. Records of one prompt come from one thread, ordered by pos, then layer
/// where the trace orders them; different prompts may come from different threads at the same time.
/// Flat events have been gathered: each record holds all k experts of a token at a layer.
class EventVisitor {
 public:
  virtual ~EventVisitor() = default;
  virtual void on_record(std::size_t prompt_index, const RoutingRecord& record) = 0;
  /// Called in place of on_record() for a record with the router's logits, [E], if
  /// ReadOptions::router_logits asks for them.
  virtual void on_record_with_logits(std::size_t prompt_index, const RoutingRecord& record,
                                     std::span<const float> /*logits*/) {
    on_record(prompt_index, record);
  }
};

/// Streams every routing event of the set through the visitor, once, and verifies it: counts (T·L·k
/// events a prompt, T = P + max(G − 1, 0) where known, or the positions that it says), id ranges,
/// duplicates, order and checksums where the trace gives them. Reads grouped and flat records,
/// plain and zstd-compressed, mixed freely.
/// @throws Error (data) with file and line for anything truncated, reordered or corrupt.
void read_events(const TraceSet& traces, EventVisitor& visitor, const ReadOptions& options);

/// The same for one prompt of the set.
void read_prompt_events(const TraceSet& traces, std::size_t prompt_index, EventVisitor& visitor,
                        const ReadOptions& options);

}  // namespace moexray
