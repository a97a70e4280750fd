#include "moexray/trace/stream_writer.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "directory_writer.h"
#include "moexray/core/error.h"

namespace moexray {

class TraceStreamWriter::Impl {
 public:
  explicit Impl(std::unique_ptr<trace::DirectoryWriter> files) : files_(std::move(files)) {}

  void append(const FinishedPrompt& prompt) {
    if (is_finished_) throw Error(ErrorKind::runtime, "a prompt comes behind the end of its trace");
    files_->append(prompt);
    const std::int64_t first = prompt.positions.empty() ? 0 : prompt.positions.front().first;
    first_pos_ = first_pos_ < 0 ? first : std::min(first_pos_, first);
  }

  void finish(const TraceManifest& facts) {
    files_->commit();
    files_->begin();  // where no prompt came
    TraceManifest manifest = files_->manifest();
    manifest.n_prompts = static_cast<std::int64_t>(files_->n_prompts());
    manifest.absent.erase("n_prompts");
    manifest.finished = true;
    manifest.source = facts.source;
    manifest.recorded = facts.recorded;
    manifest.complete = facts.complete;
    manifest.complete.first_pos = std::max<std::int64_t>(first_pos_, 0);
    files_->set_manifest(std::move(manifest));
    is_finished_ = true;
  }

  trace::DirectoryWriter& files() { return *files_; }

 private:
  std::unique_ptr<trace::DirectoryWriter> files_;
  bool is_finished_ = false;
  std::int64_t first_pos_ = -1;  // of all prompts so far
};

TraceStreamWriter::TraceStreamWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TraceStreamWriter::~TraceStreamWriter() = default;
TraceStreamWriter::TraceStreamWriter(TraceStreamWriter&&) noexcept = default;
TraceStreamWriter& TraceStreamWriter::operator=(TraceStreamWriter&&) noexcept = default;

TraceStreamWriter TraceStreamWriter::create(const std::filesystem::path& directory,
                                            TraceManifest manifest, bool force,
                                            const WriterOptions& options) {
  if (!manifest.plan.empty()) {
    throw Error(ErrorKind::data, "a trace whose prompts come one by one follows no plan");
  }
  manifest.n_prompts = -1;
  manifest.absent.insert("n_prompts");
  manifest.finished = false;
  return TraceStreamWriter(
      std::make_unique<Impl>(trace::DirectoryWriter::create(directory, manifest, force, options)));
}

void TraceStreamWriter::append(const FinishedPrompt& prompt) { impl_->append(prompt); }
void TraceStreamWriter::commit() { impl_->files().commit(); }
void TraceStreamWriter::finish() { impl_->finish(TraceManifest(manifest())); }
void TraceStreamWriter::finish(const TraceManifest& facts) { impl_->finish(facts); }
void TraceStreamWriter::discard_if_empty() noexcept { impl_->files().discard_if_empty(); }
const TraceManifest& TraceStreamWriter::manifest() const { return impl_->files().manifest(); }
std::size_t TraceStreamWriter::n_committed_prompts() const { return impl_->files().n_prompts(); }

}  // namespace moexray
