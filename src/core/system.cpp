#include "moexray/core/system.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <string>
#include <thread>

namespace moexray {
namespace {

// The directory of this process's cgroup v2, and its ancestors, can each set a limit. Calls
// `visit(directory)` for all of them.
template <typename Visit>
void for_each_cgroup(Visit visit) {
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with("0::")) continue;
    std::string path = line.substr(3);
    while (true) {
      visit("/sys/fs/cgroup" + (path == "/" ? std::string() : path));
      if (path.empty() || path == "/") return;
      path.resize(path.find_last_of('/'));
    }
  }
}

std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

}  // namespace

int available_threads() {
  int n_threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    n_threads = std::min(n_threads, CPU_COUNT(&set));
  for_each_cgroup([&](const std::string& directory) {
    std::ifstream file(directory + "/cpu.max");
    double quota = 0, period = 0;  // "max" in place of a quota fails to read: no limit
    if (!(file >> quota >> period) || period <= 0) return;
    const auto cpus = static_cast<int>(std::ceil(quota / period));
    n_threads = std::min(n_threads, std::max(1, cpus));
  });
  return std::max(1, n_threads);
}

std::uint64_t available_memory_bytes() {
  const auto pages = static_cast<std::uint64_t>(std::max(1L, ::sysconf(_SC_PHYS_PAGES)));
  auto bytes = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  for_each_cgroup([&](const std::string& directory) {
    if (const auto limit = read_number(directory + "/memory.max")) bytes = std::min(bytes, *limit);
  });
  return bytes;
}

}  // namespace moexray
