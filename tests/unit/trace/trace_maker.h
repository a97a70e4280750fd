#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/trace/reader.h"
#include "moexray/trace/writer.h"

namespace moexray::test {

/// What a small made-up run looks like.
struct MadeRun {
  RoutingShape shape{3, 8, 2};
  std::vector<std::int64_t> plan{2, 3, 1, 2};
  EventsForm events = EventsForm::grouped;
  bool router_logits = false;
  bool compress = false;
  std::uint64_t max_file_bytes = 4000;  ///< small: several events files
  Shard shard;
  std::size_t first_prompt = 0;  ///< of the endless list of made-up prompts
  int n_shadows = 0;             ///< every second one with biases
};

std::vector<Prompt> make_prompts(const MadeRun& run);
TraceManifest make_manifest(const MadeRun& run);
WriterOptions writer_options(const MadeRun& run);
/// The finished prompt number `i`, always the same.
FinishedPrompt make_finished(const MadeRun& run, const Prompt& prompt, std::size_t i);

/// Commits what is left of the plan, at most `n_batches` batches.
void commit_rest(TraceWriter& writer, const MadeRun& run, const std::vector<Prompt>& prompts,
                 std::size_t n_batches = 1000);
/// Writes the whole run.
void write_trace(const std::filesystem::path& directory, const MadeRun& run);
/// Resumes a directory and finishes the run.
void finish_trace(const std::filesystem::path& directory, const MadeRun& run);

/// The bytes of every file of a directory by name.
using Snapshot = std::map<std::string, std::string>;
Snapshot snapshot(const std::filesystem::path& directory);
void restore(const std::filesystem::path& directory, const Snapshot& files);
void write_text(const std::filesystem::path& path, std::string_view text);

/// A record that owns its arrays.
struct KeptRecord {
  int layer = 0;
  std::int64_t pos = 0;
  TokenType type = TokenType::prompt;
  bool is_template = false;
  TokenId token_id = -1;
  std::vector<ExpertId> experts;
  std::vector<float> weights;

  bool operator==(const KeptRecord&) const = default;
};

/// Keeps every record, [prompts] in the order they came.
class KeepingVisitor : public EventVisitor {
 public:
  explicit KeepingVisitor(std::size_t n_prompts) : records(n_prompts) {}
  void on_record(std::size_t prompt_index, const RoutingRecord& record) override;
  std::vector<std::vector<KeptRecord>> records;
};

/// Opens and reads traces.
struct ReadTrace {
  TraceSet set;
  std::vector<std::vector<KeptRecord>> records;
};
ReadTrace read_trace(const std::vector<std::filesystem::path>& directories,
                     const ReadOptions& options = {});

/// What read_trace() must give for a run.
std::vector<std::vector<KeptRecord>> expected_records(const MadeRun& run);

}  // namespace moexray::test
