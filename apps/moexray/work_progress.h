#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "analysis.h"
#include "moexray/stats/work.h"
#include "progress.h"

namespace moexray::app {

/// Shows how far the work of an analysis has come, and passes Ctrl-C on to it.
class WorkProgress {
 public:
  WorkProgress(const AnalysisInput& input, std::string label, std::int64_t n_steps,
               std::string unit)
      : stop_(input.stop), progress_(*input.console, std::move(label), n_steps, std::move(unit)) {}

  /// It must not be used after this is gone.
  stats::Work work() {
    return {stop_, [this](std::int64_t n) {
              const std::lock_guard lock(mutex_);
              progress_.update(progress_.done() + n);
            }};
  }

 private:
  const std::atomic<bool>* stop_;
  std::mutex mutex_;
  Progress progress_;
};

}  // namespace moexray::app
