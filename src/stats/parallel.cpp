#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <vector>

#include "moexray/core/error.h"

namespace moexray::stats {

void parallel_for(int n, int n_threads, const std::function<void(int)>& body) {
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(std::max(n, 0)));
  std::atomic<int> next{0};
  std::atomic<bool> failed{false};
  const auto work = [&] {
    // Indices start in order, so that the first to fail is started whatever fails before it.
    for (int i = next++; i < n && !failed; i = next++) {
      try {
        body(i);
      } catch (...) {
        errors[static_cast<std::size_t>(i)] = std::current_exception();
        failed = true;
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int t = 1; t < std::min(n, n_threads); ++t) threads.emplace_back(work);
    work();
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

void throw_if_stopped(const std::atomic<bool>* stop) {
  if (stop && stop->load(std::memory_order_relaxed)) {
    throw Error(ErrorKind::interrupted, "interrupted");
  }
}

}  // namespace moexray::stats
