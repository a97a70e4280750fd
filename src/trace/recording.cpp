#include "moexray/trace/recording.h"

#include <utility>

#include "fail.h"
#include "moexray/core/file.h"
#include "moexray/core/sha256.h"
#include "moexray/trace/reader.h"
#include "trace_directory.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using trace::fail_at;

// Collects which tokens of the prompts the events mark as the template's.
class TemplateMarks : public EventVisitor {
 public:
  explicit TemplateMarks(const std::vector<TracePrompt>& prompts) : marks_(prompts.size()) {
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      if (prompts[i].n_template_tokens < 0 || prompts[i].n_prompt_tokens < 0) continue;
      marks_[i].resize(static_cast<std::size_t>(prompts[i].n_prompt_tokens));
    }
  }

  void on_record(std::size_t prompt_index, const RoutingRecord& record) override {
    std::vector<bool>& marks = marks_[prompt_index];
    if (!record.is_template || record.pos >= std::ssize(marks)) return;
    marks[static_cast<std::size_t>(record.pos)] = true;
  }

  std::vector<bool> take(std::size_t prompt_index) { return std::move(marks_[prompt_index]); }

 private:
  std::vector<std::vector<bool>> marks_;  // [prompts] [P]; empty where they are not recorded
};

RecordedSequence sequence_of(TracePrompt& prompt, const fs::path& directory) {
  RecordedSequence sequence;
  sequence.where = (directory / trace::prompts_name).string() + ":" + std::to_string(prompt.line);
  const std::string where = sequence.where + ": prompt \"" + prompt.id + "\"";
  if (prompt.token_ids.empty()) {
    fail_at("a trace without token ids cannot be replayed", where, "key \"token_ids\"", "none");
  }
  const auto n = static_cast<std::int64_t>(prompt.token_ids.size());
  if (prompt.n_prompt_tokens < 1 || prompt.n_prompt_tokens > n) {
    fail_at("which tokens to replay are the prompt's is not known", where,
            "\"n_prompt_tokens\" from 1 to " + std::to_string(n),
            prompt.n_prompt_tokens < 0 ? "none" : std::to_string(prompt.n_prompt_tokens));
  }
  sequence.prompt.id = std::move(prompt.id);
  sequence.prompt.category = std::move(prompt.category);
  if (prompt.messages.empty()) sequence.prompt.text = std::move(prompt.text);
  sequence.prompt.messages = std::move(prompt.messages);
  sequence.prompt.meta_json = std::move(prompt.meta_json);
  sequence.token_ids = std::move(prompt.token_ids);
  sequence.tokens = std::move(prompt.tokens);
  sequence.n_prompt_tokens = prompt.n_prompt_tokens;
  if (!prompt.completion.empty() || prompt.n_generated_tokens >= 0) {
    sequence.completion = std::move(prompt.completion);
  }
  sequence.finish_reason = std::move(prompt.finish_reason);
  return sequence;
}

std::string sha256_of_tokens(const std::vector<RecordedSequence>& sequences) {
  Sha256 hash;
  std::string line;
  for (const RecordedSequence& sequence : sequences) {
    line.clear();
    for (const TokenId id : sequence.token_ids) {
      if (!line.empty()) line += ' ';
      line += std::to_string(id);
    }
    hash.update(line + "\n");
  }
  return hash.finish_hex();
}

std::string sha256_of_traces(std::span<const fs::path> directories) {
  Sha256 hash;
  for (const fs::path& directory : directories) {
    for (const auto& name : {trace::manifest_name, trace::prompts_name}) {
      const MappedFile file(directory / name);
      hash.update(file.bytes());
    }
  }
  return hash.finish_hex();
}

}  // namespace

Recording read_recording(std::span<const fs::path> directories) {
  TraceSet traces = open_traces(directories, {});
  Recording recording;
  recording.generation = traces.manifests.front().generation;
  recording.tokenizer = traces.manifests.front().tokenizer;
  TemplateMarks marks(traces.prompts);
  read_events(traces, marks, {});
  recording.sequences.reserve(traces.prompts.size());
  for (std::size_t i = 0; i < traces.prompts.size(); ++i) {
    TracePrompt& prompt = traces.prompts[i];
    recording.sequences.push_back(sequence_of(prompt, traces.directories[prompt.part]));
    recording.sequences.back().is_template = marks.take(i);
  }
  recording.identity = {sha256_of_traces(directories), sha256_of_tokens(recording.sequences)};
  return recording;
}

}  // namespace moexray
