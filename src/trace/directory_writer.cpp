#include "directory_writer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "json_text.h"
#include "moexray/core/checksum.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/core/forward_tokens.h"
#include "prompt_line.h"
#include "record_writer.h"
#include "trace_directory.h"

namespace moexray::trace {
namespace {

namespace fs = std::filesystem;

void check_replaceable(const fs::path& directory, bool force) {
  if (is_unused(directory)) return;
  const bool is_ours = holds_trace(directory);
  if (force && is_ours) return;
  throw Error(ErrorKind::usage,
              {is_ours ? "the directory already holds results; use --resume to continue it or "
                         "--force to replace it"
                       : "the directory is not empty and holds no trace that moexray wrote; it is "
                         "not replaced",
               directory.string(), "a new or empty directory", list_of_files(directory)});
}

}  // namespace

void refuse_prompt(const FinishedPrompt& prompt, std::string_view what) {
  const std::string id = prompt.prompt == nullptr ? "?" : prompt.prompt->id;
  throw Error(ErrorKind::runtime, {"a finished prompt does not fit its trace: " + std::string(what),
                                   "prompt \"" + id + "\"",
                                   {},
                                   {}});
}

void check_startable(const fs::path& directory, bool force) {
  check_replaceable(directory, force);
  check_writable(directory);
}

DiskFile locked_prompts_file(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) {
    throw Error(ErrorKind::runtime,
                {"cannot create the directory: " + error.message(), directory.string(), {}, {}});
  }
  DiskFile file(directory / prompts_name);
  file.lock();
  return file;
}

std::unique_ptr<DirectoryWriter> DirectoryWriter::create(const fs::path& directory,
                                                         const TraceManifest& manifest, bool force,
                                                         const WriterOptions& options) {
  check_replaceable(directory, force);
  std::vector<fs::path> made = missing_directories(directory);
  try {
    DiskFile prompts_file = locked_prompts_file(directory);
    check_replaceable(directory, force);  // another writer may have come and gone before the lock
    std::unique_ptr<DirectoryWriter> writer(
        new DirectoryWriter(directory, manifest, options, std::move(prompts_file)));
    writer->made_directories_ = made;
    writer->is_waiting_ = true;
    if (is_unused(directory)) writer->begin();
    return writer;
  } catch (...) {
    remove_empty(made);
    throw;
  }
}

std::unique_ptr<DirectoryWriter> DirectoryWriter::resume(const fs::path& directory,
                                                         const TraceManifest& manifest,
                                                         const WriterOptions& options,
                                                         DiskFile prompts_file,
                                                         const Committed& kept) {
  std::unique_ptr<DirectoryWriter> writer(
      new DirectoryWriter(directory, manifest, options, std::move(prompts_file)));
  writer->cut_to(kept);
  return writer;
}

void DirectoryWriter::cut_to(const Committed& kept) {
  // Lines first: there must never be a line whose events are gone.
  prompts_file_.truncate(kept.prompts_bytes);
  prompts_file_.sync();
  remove_events_from(directory_, kept.n_batches == 0 ? 0 : kept.events_index + 1);
  if (kept.n_batches > 0) {
    open_events(kept.events_index);
    events_file_.truncate(kept.events_bytes);
    group_begin_ = kept.events_bytes;
  }
  if (has_shadows() && kept.n_prompts > 0) {
    shadows_file_ = ShadowFile::resume(directory_, shadow_header(), kept.n_prompts);
  }
  n_event_bytes_ = kept.all_events_bytes;
  n_prompts_ = kept.n_prompts;
  sync_directory(directory_);
}

void DirectoryWriter::begin() {
  if (!is_waiting_) return;
  try {
    start();
  } catch (...) {
    discard_if_empty();
    throw;
  }
}

// Empties the directory and writes the manifest over an old one, if there is one: whenever this is
// stopped, the directory counts as unused or as a run without prompts.
void DirectoryWriter::start() {
  is_new_ = true;
  prompts_file_.truncate(0);
  prompts_file_.sync();
  remove_events_from(directory_, 0);
  remove_file(directory_ / shadows_name);
  write_file_atomically(directory_ / manifest_name, manifest_to_json(manifest_));
  if (manifest_.plan.empty()) begin_shadows();
  is_waiting_ = false;  // only now: no event may stand under an old manifest
}

// Not before there is a prompt: what the file begins with may be known only then.
void DirectoryWriter::begin_shadows() {
  if (!has_shadows() || shadows_file_.is_open()) return;
  shadows_file_ = ShadowFile::create(directory_, shadow_header());
}

void DirectoryWriter::set_shadow_biases(std::vector<std::vector<float>> biases) {
  if (shadows_file_.is_open()) {
    throw Error(ErrorKind::runtime, {"biases of shadows are known too late: their file has begun",
                                     (directory_ / shadows_name).string(),
                                     {},
                                     {}});
  }
  options_.shadow_biases = std::move(biases);
}

void DirectoryWriter::check(const FinishedPrompt& prompt) const {
  if (prompt.prompt == nullptr) refuse_prompt(prompt, "no prompt");
  const RoutingBuffer& routing = prompt.routing;
  if (routing.shape() != manifest_.model.shape) refuse_prompt(prompt, "routing shape");
  if (routing.has_logits() != manifest_.router_logits) refuse_prompt(prompt, "router logits");
  const std::int64_t n_prompt = prompt.n_prompt_tokens;
  const std::int64_t n_generated = prompt.n_generated_tokens;
  const std::int64_t n_routed = routing.n_positions();
  const bool knows_all = n_generated >= 0;
  if (n_prompt < 0) refuse_prompt(prompt, "number of prompt tokens");
  const std::vector<PositionRange>& positions = prompt.positions;
  if (!positions.empty()) {
    if (manifest_.version < 2) refuse_prompt(prompt, "positions, which need version 2");
    if (!are_in_order(positions) || n_positions(positions) != n_routed) {
      refuse_prompt(prompt, "positions");
    }
  }
  const std::int64_t n_reached = positions.empty() ? n_routed : positions.back().last + 1;
  const auto n_tokens = static_cast<std::size_t>(knows_all ? n_prompt + n_generated : n_reached);
  if (!prompt.token_ids.empty() && prompt.token_ids.size() != n_tokens) {
    refuse_prompt(prompt, "number of token ids");
  }
  if (!prompt.tokens.empty() && prompt.tokens.size() != n_tokens) {
    refuse_prompt(prompt, "number of tokens");
  }
  const std::size_t n_scores = manifest_.score && n_tokens > 0 ? n_tokens - 1 : 0;
  if (prompt.logprobs.size() != n_scores) refuse_prompt(prompt, "number of scores");
  if (!std::all_of(prompt.logprobs.begin(), prompt.logprobs.end(),
                   [](float p) { return std::isfinite(p) && p <= 0; })) {
    refuse_prompt(prompt, "scores that are no logarithms of probabilities");
  }
  if (!prompt.is_template.empty() &&
      prompt.is_template.size() != static_cast<std::size_t>(n_prompt)) {
    refuse_prompt(prompt, "number of template marks");
  }
  const std::int64_t n_forward = knows_all ? n_forward_tokens(n_prompt, n_generated) : n_reached;
  const bool fits =
      positions.empty() ? n_routed >= n_prompt && n_routed == n_forward : n_reached <= n_forward;
  if (!routing.is_rectangular() || n_routed < 1 || !fits) {
    refuse_prompt(prompt, "number of routed tokens");
  }
  if (prompt.shadows.size() != manifest_.shadows.size()) refuse_prompt(prompt, "shadows");
  for (const ExpertSets& sets : prompt.shadows) {
    if (sets.shape() != manifest_.model.shape || !sets.is_rectangular() ||
        sets.n_positions() != n_routed) {
      refuse_prompt(prompt, "routing of shadows");
    }
  }
}

ShadowHeader DirectoryWriter::shadow_header() const {
  return {manifest_.model.shape, manifest_.shadows, options_.shadow_biases};
}

void DirectoryWriter::append(const FinishedPrompt& prompt) {
  if (is_broken_) {
    throw Error(ErrorKind::runtime, {"the trace cannot be written any more: an earlier failure "
                                     "could not be undone",
                                     directory_.string(),
                                     {},
                                     {}});
  }
  try {
    check(prompt);
    if (n_appended_ == 0) begin_group();
    lines_ += write_events(prompt);
    if (has_shadows()) shadows_file_.append(prompt.prompt->id, prompt.shadows);
    ++n_appended_;
  } catch (...) {
    cut_group();
    throw;
  }
}

void DirectoryWriter::commit() {
  if (n_appended_ == 0) return;
  const std::uint64_t prompts_bytes = prompts_file_.size();
  try {
    events_file_.sync();
    if (has_shadows()) shadows_file_.sync();
    prompts_file_.append(lines_);
    prompts_file_.sync();
  } catch (...) {
    try {
      prompts_file_.truncate(prompts_bytes);
    } catch (const Error&) {
      is_broken_ = true;
    }
    cut_group();
    throw;
  }
  n_event_bytes_ += events_file_.size() - group_begin_;
  group_begin_ = events_file_.size();
  if (has_shadows()) shadows_file_.keep();
  n_prompts_ += n_appended_;
  n_appended_ = 0;
  lines_.clear();
}

void DirectoryWriter::set_manifest(TraceManifest manifest) {
  manifest_ = std::move(manifest);
  write_file_atomically(directory_ / manifest_name, manifest_to_json(manifest_));
}

void DirectoryWriter::discard_if_empty() noexcept {
  if (!is_new_ || n_prompts_ > 0) return;
  try {
    remove_events_from(directory_, 0);
    remove_file(directory_ / shadows_name);
    remove_file(directory_ / manifest_name);
    remove_file(directory_ / prompts_name);
    remove_empty(made_directories_);
  } catch (const Error&) {
    // What stays is a trace without prompts, which resuming goes on with.
  }
}

void DirectoryWriter::open_events(std::size_t index) {
  events_file_ = DiskFile(directory_ / events_file_name(index, manifest_.compress));
  events_index_ = index;
  group_begin_ = 0;
}

// What is committed together stands in one file.
void DirectoryWriter::begin_group() {
  if (is_waiting_) start();
  begin_shadows();
  const bool is_first = !events_file_.is_open();
  if (!is_first && events_file_.size() < options_.max_file_bytes) return;
  open_events(is_first ? 0 : events_index_ + 1);
  events_file_.truncate(0);
  sync_directory(directory_);
}

// Writes the records of a prompt and returns its line.
std::string DirectoryWriter::write_events(const FinishedPrompt& prompt) {
  records_.clear();
  EventsPlace place;
  place.events_file = events_file_.path().filename().string();
  place.offset = events_file_.size();
  Checksum checksum;
  // A frame declares the size of its content, and so takes all of it at once.
  const auto take = [&] {
    const std::string_view text = records_.text();
    place.n_bytes += text.size();
    checksum.update(text);
    const std::string_view stored = manifest_.compress ? compressor_.compress(text) : text;
    if (manifest_.compress) place.n_compressed_bytes = stored.size();
    events_file_.append(stored);
    records_.clear();
  };
  append_records(prompt, manifest_.events, records_, [&] {
    if (!manifest_.compress) take();
  });
  if (!records_.text().empty()) take();
  place.checksum = checksum.text();
  std::string line = make_prompt_line(prompt, place);
  if (line.size() > max_line_bytes) {
    throw Error(ErrorKind::data, {"prompt too long for a line of prompts.jsonl",
                                  "prompt \"" + prompt.prompt->id + "\"", "at most 16 MB",
                                  std::to_string(line.size()) + " bytes"});
  }
  return line;
}

// What cannot be cut off here (the disk is gone, say) is cut off when the directory is resumed.
void DirectoryWriter::cut_group() noexcept {
  n_appended_ = 0;
  lines_.clear();
  if (!events_file_.is_open()) return;
  try {
    events_file_.truncate(group_begin_);
    shadows_file_.cut();
  } catch (const Error&) {
    is_broken_ = true;
  }
}

}  // namespace moexray::trace
