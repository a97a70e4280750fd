#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>

namespace moexray::bench {

/// How much of the processors other programs, and other machines on the same processors, use while
/// it lives. From /proc/stat: what was not idle, less this program's own time.
class OtherWork {
 public:
  /// As a share of all processors' time since the object was made: 0 to 1.
  double share() const {
    const double elapsed =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const double others = (busy_seconds() - busy_) - (own_seconds() - own_);
    const double all = elapsed * static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
    return std::max(0.0, others / all);
  }

 private:
  // The first line of /proc/stat: user nice system idle iowait irq softirq steal …, in ticks.
  static double busy_seconds() {
    std::ifstream file("/proc/stat");
    std::string name;
    file >> name;
    double busy = 0;
    for (int i = 0; i < 8; ++i) {
      double ticks = 0;
      file >> ticks;
      if (i != 3 && i != 4) busy += ticks;
    }
    return busy / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }

  static double own_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double busy_ = busy_seconds(), own_ = own_seconds();
};

}  // namespace moexray::bench
