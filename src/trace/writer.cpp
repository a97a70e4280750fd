#include "moexray/trace/writer.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "committed.h"
#include "directory_writer.h"
#include "disk_file.h"
#include "moexray/core/error.h"
#include "trace_directory.h"

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

// What every prompt of a planned trace has.
void check_complete(const FinishedPrompt& prompt) {
  if (prompt.n_prompt_tokens < 1) trace::refuse_prompt(prompt, "number of prompt tokens");
  if (prompt.n_generated_tokens < 0) trace::refuse_prompt(prompt, "number of generated tokens");
  if (prompt.token_ids.empty()) trace::refuse_prompt(prompt, "no token ids");
  if (prompt.tokens.empty()) trace::refuse_prompt(prompt, "no tokens");
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

// Follows the plan of the manifest.
class TraceWriter::Impl {
 public:
  explicit Impl(std::unique_ptr<trace::DirectoryWriter> files) : files_(std::move(files)) {}
  Impl(std::unique_ptr<trace::DirectoryWriter> files, const trace::Committed& kept)
      : files_(std::move(files)),
        n_batches_(kept.n_batches),
        state_{kept.n_batches, kept.n_prompts, kept.n_lines - kept.n_prompts} {}

  void commit(std::span<const FinishedPrompt> batch) {
    const std::vector<std::int64_t>& plan = files_->manifest().plan;
    if (n_batches_ >= plan.size() || batch.size() != static_cast<std::size_t>(plan[n_batches_])) {
      throw Error(ErrorKind::runtime, "a batch does not follow the plan of its trace");
    }
    // All of them before the first is written.
    for (const FinishedPrompt& prompt : batch) {
      check_complete(prompt);
      files_->check(prompt);
    }
    for (const FinishedPrompt& prompt : batch) files_->append(prompt);
    files_->commit();
    ++n_batches_;
  }

  trace::DirectoryWriter& files() { return *files_; }
  const trace::DirectoryWriter& files() const { return *files_; }
  const ResumeState& state() const { return state_; }
  std::size_t n_batches() const { return n_batches_; }

 private:
  std::unique_ptr<trace::DirectoryWriter> files_;
  std::size_t n_batches_ = 0;
  ResumeState state_;
};

TraceWriter::TraceWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TraceWriter::~TraceWriter() = default;
TraceWriter::TraceWriter(TraceWriter&&) noexcept = default;
TraceWriter& TraceWriter::operator=(TraceWriter&&) noexcept = default;

void TraceWriter::check_create(const fs::path& directory, bool force) {
  trace::check_startable(directory, force);
}

TraceWriter TraceWriter::create(const fs::path& directory, const TraceManifest& manifest,
                                bool force, const WriterOptions& options) {
  check_plan(manifest, "the manifest");
  auto files = trace::DirectoryWriter::create(directory, manifest, force, options);
  if (manifest.plan.empty()) files->begin();
  return TraceWriter(std::make_unique<Impl>(std::move(files)));
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
  trace::DiskFile prompts_file = trace::locked_prompts_file(directory);
  const TraceManifest recorded = resumable_manifest(directory, wanted, prompts.size());
  const trace::Committed kept = trace::find_committed(directory, recorded, prompts);
  auto files =
      trace::DirectoryWriter::resume(directory, recorded, options, std::move(prompts_file), kept);
  return TraceWriter(std::make_unique<Impl>(std::move(files), kept));
}

void TraceWriter::set_shadow_biases(std::vector<std::vector<float>> biases) {
  impl_->files().set_shadow_biases(std::move(biases));
}

void TraceWriter::commit_batch(std::span<const FinishedPrompt> batch) { impl_->commit(batch); }

void TraceWriter::discard_if_empty() noexcept { impl_->files().discard_if_empty(); }

const TraceManifest& TraceWriter::manifest() const { return impl_->files().manifest(); }
const ResumeState& TraceWriter::resume_state() const { return impl_->state(); }
std::size_t TraceWriter::n_committed_batches() const { return impl_->n_batches(); }
std::size_t TraceWriter::n_committed_prompts() const { return impl_->files().n_prompts(); }
bool TraceWriter::finished() const { return impl_->n_batches() == manifest().plan.size(); }
std::uint64_t TraceWriter::n_event_bytes() const { return impl_->files().n_event_bytes(); }

}  // namespace moexray
