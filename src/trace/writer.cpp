#include "moexray/trace/writer.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "byte_buffer.h"
#include "committed.h"
#include "disk_file.h"
#include "json_text.h"
#include "moexray/core/checksum.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/trace/reader.h"
#include "prompt_line.h"
#include "record_writer.h"
#include "trace_directory.h"
#include "zstd_frames.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;

void check_plan(const TraceManifest& manifest, std::string_view where) {
  const bool is_positive = std::all_of(manifest.plan.begin(), manifest.plan.end(),
                                       [](std::int64_t size) { return size > 0; });
  const std::int64_t sum =
      std::accumulate(manifest.plan.begin(), manifest.plan.end(), std::int64_t{0});
  if (!is_positive || sum != manifest.n_prompts) {
    throw Error(ErrorKind::data,
                {"key \"plan\" does not add up", std::string(where),
                 std::to_string(manifest.n_prompts) + " prompts in batches", std::to_string(sum)});
  }
}

void check_prompt(const FinishedPrompt& prompt, const TraceManifest& manifest) {
  const auto fail = [&](std::string_view what) {
    const std::string id = prompt.prompt == nullptr ? "?" : prompt.prompt->id;
    throw Error(ErrorKind::runtime,
                {"a finished prompt does not fit its trace: " + std::string(what),
                 "prompt \"" + id + "\"",
                 {},
                 {}});
  };
  const auto n_tokens = static_cast<std::int64_t>(prompt.token_ids.size());
  const std::int64_t n_prompt = prompt.n_prompt_tokens;
  if (prompt.prompt == nullptr) fail("no prompt");
  if (n_prompt < 1 || n_prompt > n_tokens) fail("number of prompt tokens");
  if (prompt.tokens.size() != prompt.token_ids.size()) fail("number of tokens");
  if (!prompt.is_template.empty() &&
      prompt.is_template.size() != static_cast<std::size_t>(n_prompt)) {
    fail("number of template marks");
  }
  if (prompt.routing.shape() != manifest.model.shape) fail("routing shape");
  if (prompt.routing.has_logits() != manifest.router_logits) fail("router logits");
  if (!prompt.routing.is_rectangular() ||
      prompt.routing.n_positions() != trace::n_traced_tokens(n_prompt, n_tokens - n_prompt)) {
    fail("number of routed tokens");
  }
}

void check_replaceable(const fs::path& directory, bool force) {
  if (trace::is_unused(directory)) return;
  const bool is_ours = trace::holds_trace(directory);
  if (force && is_ours) return;
  throw Error(ErrorKind::usage,
              {is_ours ? "the directory already holds results; use --resume to continue it or "
                         "--force to replace it"
                       : "the directory is not empty and holds no trace that moexray wrote; it is "
                         "not replaced",
               directory.string(), "a new or empty directory", trace::list_of_files(directory)});
}

trace::DiskFile locked_prompts_file(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) {
    throw Error(ErrorKind::runtime,
                {"cannot create the directory: " + error.message(), directory.string(), {}, {}});
  }
  trace::DiskFile file(directory / trace::prompts_name);
  file.lock();
  return file;
}

// The manifest of a directory that `wanted` continues.
TraceManifest resumable_manifest(const fs::path& directory, const TraceManifest& wanted,
                                 std::size_t n_prompts) {
  const std::string where = (directory / trace::manifest_name).string();
  TraceManifest recorded = read_manifest(directory);
  check_same_run(recorded, wanted, where);
  check_plan(recorded, where);
  if (n_prompts != static_cast<std::size_t>(recorded.n_prompts)) {
    throw Error(ErrorKind::runtime,
                {"wrong number of prompts to resume with", where,
                 std::to_string(recorded.n_prompts), std::to_string(n_prompts)});
  }
  return recorded;
}

}  // namespace

class TraceWriter::Impl {
 public:
  // @param made_directories what had to be made for it, the innermost first
  Impl(fs::path directory, TraceManifest manifest, const WriterOptions& options,
       trace::DiskFile prompts_file, std::vector<fs::path> made_directories = {})
      : directory_(std::move(directory)),
        manifest_(std::move(manifest)),
        options_(options),
        prompts_file_(std::move(prompts_file)),
        made_directories_(std::move(made_directories)) {}

  // Empties the directory and writes the manifest over an old one, if there is one: whenever this
  // is stopped, the directory counts as unused or as a run without prompts.
  void start() {
    is_new_ = true;
    is_waiting_ = false;
    prompts_file_.truncate(0);
    prompts_file_.sync();
    trace::remove_events_from(directory_, 0);
    write_file_atomically(directory_ / trace::manifest_name, manifest_to_json(manifest_));
  }

  void discard_if_empty() noexcept {
    if (!is_new_ || n_prompts_ > 0) return;
    try {
      trace::remove_events_from(directory_, 0);
      trace::remove_file(directory_ / trace::manifest_name);
      trace::remove_file(directory_ / trace::prompts_name);
      trace::remove_empty(made_directories_);
    } catch (const Error&) {
      // What stays is a run without prompts, which --resume goes on with.
    }
  }

  void cut_to(const trace::Committed& kept) {
    // Lines first: there must never be a line whose events are gone.
    prompts_file_.truncate(kept.prompts_bytes);
    prompts_file_.sync();
    trace::remove_events_from(directory_, kept.n_batches == 0 ? 0 : kept.events_index + 1);
    if (kept.n_batches > 0) {
      open_events(kept.events_index);
      events_file_.truncate(kept.events_bytes);
    }
    all_events_bytes_ = kept.all_events_bytes;
    n_batches_ = kept.n_batches;
    n_prompts_ = kept.n_prompts;
    state_ = {kept.n_batches, kept.n_prompts, kept.n_lines - kept.n_prompts};
    trace::sync_directory(directory_);
  }

  // Leaves an old trace as it is until there is something to put in its place.
  void start_with_first_batch() { is_waiting_ = true; }

  void commit(std::span<const FinishedPrompt> batch) {
    check_batch(batch);
    if (is_waiting_) start();
    roll_over();
    const std::uint64_t events_bytes = events_file_.size();
    const std::uint64_t prompts_bytes = prompts_file_.size();
    try {
      std::string lines;
      for (const FinishedPrompt& prompt : batch) lines += write_events(prompt);
      events_file_.sync();
      prompts_file_.append(lines);
      prompts_file_.sync();
    } catch (...) {
      undo(prompts_bytes, events_bytes);
      throw;
    }
    all_events_bytes_ += events_file_.size() - events_bytes;
    n_prompts_ += batch.size();
    ++n_batches_;
  }

  const TraceManifest& manifest() const { return manifest_; }
  const ResumeState& state() const { return state_; }
  std::size_t n_batches() const { return n_batches_; }
  std::size_t n_prompts() const { return n_prompts_; }
  std::uint64_t all_events_bytes() const { return all_events_bytes_; }

 private:
  void check_batch(std::span<const FinishedPrompt> batch) const {
    if (n_batches_ >= manifest_.plan.size() ||
        batch.size() != static_cast<std::size_t>(manifest_.plan[n_batches_])) {
      throw Error(ErrorKind::runtime, "a batch does not follow the plan of its trace");
    }
    for (const FinishedPrompt& prompt : batch) check_prompt(prompt, manifest_);
  }

  void open_events(std::size_t index) {
    events_file_ = trace::DiskFile(directory_ / trace::events_file_name(index, manifest_.compress));
    events_index_ = index;
  }

  void roll_over() {
    const bool is_first = !events_file_.is_open();
    if (!is_first && events_file_.size() < options_.max_file_bytes) return;
    open_events(is_first ? 0 : events_index_ + 1);
    events_file_.truncate(0);
    trace::sync_directory(directory_);
  }

  // Writes the records of a prompt and returns its line.
  std::string write_events(const FinishedPrompt& prompt) {
    records_.clear();
    trace::append_records(prompt, manifest_.events, records_);
    const std::string_view text = records_.text();
    trace::EventsPlace place;
    place.events_file = events_file_.path().filename().string();
    place.offset = events_file_.size();
    place.n_bytes = text.size();
    place.checksum = checksum_text(text);
    if (manifest_.compress) {
      const std::string_view frame = compressor_.compress(text);
      place.n_compressed_bytes = frame.size();
      events_file_.append(frame);
    } else {
      events_file_.append(text);
    }
    std::string line = trace::make_prompt_line(prompt, place);
    if (line.size() > trace::max_line_bytes) {
      throw Error(ErrorKind::data, {"prompt too long for a line of prompts.jsonl",
                                    "prompt \"" + prompt.prompt->id + "\"", "at most 16 MB",
                                    std::to_string(line.size()) + " bytes"});
    }
    return line;
  }

  // What cannot be cut off here (the disk is gone, say) is cut off by resume().
  void undo(std::uint64_t prompts_bytes, std::uint64_t events_bytes) noexcept {
    try {
      prompts_file_.truncate(prompts_bytes);
      events_file_.truncate(events_bytes);
    } catch (const Error&) {
      n_batches_ = manifest_.plan.size() + 1;  // nothing can be committed any more
    }
  }

  fs::path directory_;
  TraceManifest manifest_;
  WriterOptions options_;
  trace::DiskFile prompts_file_;
  std::vector<fs::path> made_directories_;
  bool is_new_ = false;      // not resumed
  bool is_waiting_ = false;  // for its first batch, to start
  trace::DiskFile events_file_;
  std::size_t events_index_ = 0;
  std::uint64_t all_events_bytes_ = 0;
  std::size_t n_batches_ = 0;
  std::size_t n_prompts_ = 0;
  ResumeState state_;
  trace::ByteBuffer records_;
  trace::FrameCompressor compressor_;
};

TraceWriter::TraceWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TraceWriter::~TraceWriter() = default;
TraceWriter::TraceWriter(TraceWriter&&) noexcept = default;
TraceWriter& TraceWriter::operator=(TraceWriter&&) noexcept = default;

void TraceWriter::check_create(const fs::path& directory, bool force) {
  check_replaceable(directory, force);
  trace::check_writable(directory);
}

TraceWriter TraceWriter::create(const fs::path& directory, const TraceManifest& manifest,
                                bool force, const WriterOptions& options) {
  check_plan(manifest, "the manifest");
  check_replaceable(directory, force);
  std::vector<fs::path> made = trace::missing_directories(directory);
  try {
    trace::DiskFile prompts_file = locked_prompts_file(directory);
    check_replaceable(directory, force);  // another writer may have come and gone before the lock
    const bool is_replacement = !trace::is_unused(directory);
    TraceWriter writer(
        std::make_unique<Impl>(directory, manifest, options, std::move(prompts_file), made));
    try {
      if (!is_replacement || manifest.plan.empty()) {
        writer.impl_->start();
      } else {
        writer.impl_->start_with_first_batch();
      }
    } catch (...) {
      writer.discard_if_empty();
      throw;
    }
    return writer;
  } catch (...) {
    trace::remove_empty(made);
    throw;
  }
}

void TraceWriter::check_resume(const fs::path& directory, TraceManifest wanted) {
  if (trace::is_unused(directory)) return check_create(directory, false);
  const TraceManifest recorded = read_manifest(directory);
  if (wanted.model.weights_xxh3.empty()) wanted.model.weights_xxh3 = recorded.model.weights_xxh3;
  check_same_run(recorded, wanted, (directory / trace::manifest_name).string());
}

bool TraceWriter::is_finished(const fs::path& directory, const TraceManifest& wanted,
                              std::span<const Prompt> prompts) {
  if (trace::is_unused(directory)) return false;
  const TraceManifest recorded = resumable_manifest(directory, wanted, prompts.size());
  return trace::find_committed(directory, recorded, prompts).n_batches == recorded.plan.size();
}

TraceWriter TraceWriter::resume(const fs::path& directory, const TraceManifest& wanted,
                                std::span<const Prompt> prompts, const WriterOptions& options) {
  if (trace::is_unused(directory)) return create(directory, wanted, false, options);
  resumable_manifest(directory, wanted, prompts.size());
  trace::DiskFile prompts_file = locked_prompts_file(directory);
  const TraceManifest recorded = resumable_manifest(directory, wanted, prompts.size());
  const trace::Committed kept = trace::find_committed(directory, recorded, prompts);
  TraceWriter writer(std::make_unique<Impl>(directory, recorded, options, std::move(prompts_file)));
  writer.impl_->cut_to(kept);
  return writer;
}

void TraceWriter::commit_batch(std::span<const FinishedPrompt> batch) { impl_->commit(batch); }

void TraceWriter::discard_if_empty() noexcept { impl_->discard_if_empty(); }

const TraceManifest& TraceWriter::manifest() const { return impl_->manifest(); }
const ResumeState& TraceWriter::resume_state() const { return impl_->state(); }
std::size_t TraceWriter::n_committed_batches() const { return impl_->n_batches(); }
std::size_t TraceWriter::n_committed_prompts() const { return impl_->n_prompts(); }
bool TraceWriter::finished() const { return impl_->n_batches() == impl_->manifest().plan.size(); }
std::uint64_t TraceWriter::n_event_bytes() const { return impl_->all_events_bytes(); }

}  // namespace moexray
