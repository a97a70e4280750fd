#pragma once

#include <atomic>
#include <chrono>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

namespace moexray::bench {

/// A figure of /proc/self/status in GB: "VmHWM", the most that was ever resident, or "RssAnon", the
/// private memory of this moment.
inline double memory_gigabytes(std::string_view key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key) && line[key.size()] == ':') {
      return std::stod(line.substr(key.size() + 1)) * 1024 / 1e9;
    }
  }
  return 0;
}

/// Watches the private (anonymous) memory of the process, whose peak the kernel does not keep:
/// looks every 10 ms while it lives.
class PrivateMemoryPeak {
 public:
  PrivateMemoryPeak()
      : thread_([this](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            const double now = memory_gigabytes("RssAnon");
            if (now > peak_) peak_ = now;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
          }
        }) {}

  double gigabytes() const { return peak_; }

 private:
  std::atomic<double> peak_ = 0;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace moexray::bench
