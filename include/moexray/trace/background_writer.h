#pragma once

#include <future>
#include <vector>

#include "moexray/trace/writer.h"

namespace moexray {

/// Commits the batches of a TraceWriter on a thread of its own, so that one batch is written while
/// the next is computed. One batch is in work at a time: whatever the number of prompts, memory
/// holds one batch that is being written and the one that its owner is making.
///
/// While a batch is in work the TraceWriter must not be used otherwise; after wait() it may.
class BackgroundWriter {
 public:
  /// `writer` must outlive the object.
  explicit BackgroundWriter(TraceWriter& writer) : writer_(writer) {}
  /// Waits for the batch in work, whose failure, if it has one, is lost: call wait() to see it.
  ~BackgroundWriter() = default;
  BackgroundWriter(const BackgroundWriter&) = delete;
  BackgroundWriter& operator=(const BackgroundWriter&) = delete;

  /// Waits for the batch in work and starts to commit the next one.
  /// @throws what TraceWriter::commit_batch threw for the batch before; the new one is not begun.
  void commit_batch(std::vector<FinishedPrompt> batch);

  /// @throws what TraceWriter::commit_batch threw, if the batch in work has failed by now.
  void check();

  /// Waits until the batch in work is on disk.
  /// @throws what TraceWriter::commit_batch threw.
  void wait();

 private:
  TraceWriter& writer_;
  std::future<void> in_work_;  ///< of std::async: its destructor waits
};

}  // namespace moexray
