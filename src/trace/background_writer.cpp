#include "moexray/trace/background_writer.h"

#include <chrono>
#include <utility>

namespace moexray {

void BackgroundWriter::commit_batch(std::vector<FinishedPrompt> batch) {
  wait();
  in_work_ = std::async(std::launch::async, [this, batch = std::move(batch)]() mutable {
    writer_.commit_batch(batch);
    batch = {};  // the future would keep it until somebody asks for the result
  });
}

void BackgroundWriter::check() {
  if (!in_work_.valid()) return;
  if (in_work_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) in_work_.get();
}

void BackgroundWriter::wait() {
  if (in_work_.valid()) in_work_.get();
}

}  // namespace moexray
