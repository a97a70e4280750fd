#include "committed.h"

#include <fstream>
#include <string>

#include "line_reader.h"
#include "moexray/core/error.h"
#include "prompt_line.h"
#include "trace_directory.h"

namespace moexray::trace {
namespace {

namespace fs = std::filesystem;

// Walks the lines batch by batch; `kept_` moves on when a batch is whole.
class CommittedScan {
 public:
  CommittedScan(const fs::path& directory, const TraceManifest& manifest,
                std::span<const Prompt> prompts)
      : directory_(directory), manifest_(manifest), prompts_(prompts) {}

  Committed run() {
    const fs::path path = directory_ / prompts_name;
    std::ifstream in(path, std::ios::binary);
    LineReader lines(in);
    while (lines.next()) {
      ++kept_.n_lines;
      if (!stopped_) take(lines, path.string());
      if (!damage_.empty()) check_is_tail(lines);
    }
    if (lines.failed()) {
      throw Error(ErrorKind::data, {"cannot read", path.string(), {}, {}});
    }
    return kept_;
  }

 private:
  void take(const LineReader& lines, const std::string& path) {
    const std::string where = path + ":" + std::to_string(lines.number());
    try {
      if (!lines.ended()) {
        stopped_ = true;
        return;
      }
      if (lines.too_long()) throw Error(ErrorKind::data, {"line longer than 16 MB", where, {}, {}});
      take_prompt(parser_.parse(lines.text(), manifest_.model.shape, where), where);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      stopped_ = true;
      damage_ = error.what();
      batch_end_ =
          at_.n_prompts - n_in_batch_ + (at_.n_batches < manifest_.plan.size() ? batch_size() : 0);
    }
    if (stopped_) return;
    at_.prompts_bytes = lines.offset() + lines.text().size() + 1;
    if (n_in_batch_ == batch_size()) {
      n_in_batch_ = 0;
      ++at_.n_batches;
      at_.n_lines = kept_.n_lines;
      kept_ = at_;
    }
  }

  void take_prompt(const TracePrompt& prompt, const std::string& where) {
    if (!parser_.had_checksum() || prompt.offset < 0) {
      throw Error(ErrorKind::data, {"not a line that moexray wrote", where, {}, {}});
    }
    if (at_.n_batches >= manifest_.plan.size() || at_.n_prompts >= prompts_.size()) {
      throw Error(ErrorKind::data,
                  {"more prompts than planned", where, std::to_string(prompts_.size()), {}});
    }
    if (prompt.id != prompts_[at_.n_prompts].id) {
      throw Error(ErrorKind::data, {"wrong prompt", where, "\"" + prompts_[at_.n_prompts].id + "\"",
                                    "\"" + prompt.id + "\""});
    }
    if (!take_events(prompt, where)) {
      stopped_ = true;
      return;
    }
    ++at_.n_prompts;
    ++n_in_batch_;
  }

  // False if the events are not, or no longer, on disk.
  bool take_events(const TracePrompt& prompt, const std::string& where) {
    const auto offset = static_cast<std::uint64_t>(prompt.offset);
    const std::string current = events_file_name(at_.events_index, manifest_.compress);
    const std::string next = events_file_name(at_.events_index + 1, manifest_.compress);
    if (offset == 0 && at_.events_bytes > 0 && prompt.events_file == next) {
      ++at_.events_index;
      at_.events_bytes = 0;
    } else if (prompt.events_file != current || offset != at_.events_bytes) {
      throw Error(ErrorKind::data, {"events are not where they should follow", where,
                                    current + " at " + std::to_string(at_.events_bytes),
                                    prompt.events_file.string() + " at " + std::to_string(offset)});
    }
    const auto n_bytes =
        static_cast<std::uint64_t>(manifest_.compress ? prompt.n_compressed_bytes : prompt.n_bytes);
    std::error_code error;
    const std::uint64_t size = fs::file_size(directory_ / prompt.events_file, error);
    if (error || offset > size || n_bytes > size - offset) return false;
    at_.events_bytes = offset + n_bytes;
    at_.all_events_bytes += n_bytes;
    return true;
  }

  std::size_t batch_size() const { return static_cast<std::size_t>(manifest_.plan[at_.n_batches]); }

  // Batches are synced one after the other: a stopped run can spoil lines of the last one only.
  void check_is_tail(const LineReader& lines) const {
    if (kept_.n_lines > batch_end_ && lines.ended()) throw Error(ErrorKind::data, damage_);
  }

  const fs::path& directory_;
  const TraceManifest& manifest_;
  std::span<const Prompt> prompts_;
  PromptLineParser parser_;
  Committed kept_;
  Committed at_;
  std::size_t n_in_batch_ = 0;
  bool stopped_ = false;
  std::string damage_;
  std::size_t batch_end_ = 0;
};

}  // namespace

Committed find_committed(const fs::path& directory, const TraceManifest& manifest,
                         std::span<const Prompt> prompts) {
  return CommittedScan(directory, manifest, prompts).run();
}

}  // namespace moexray::trace
