#include "child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "moexray/core/error.h"

namespace moexray {
namespace {

// AddressSanitizer's shadow memory is larger than any sensible limit.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool limits_memory = false;
#elif defined(__has_feature)
constexpr bool limits_memory = !__has_feature(address_sanitizer);
#else
constexpr bool limits_memory = true;
#endif

constexpr rlim_t max_memory_bytes = rlim_t{8} << 30;
constexpr std::size_t max_message_bytes = 4096;
// The child's limit is processor time; on a busy machine that takes longer.
constexpr int waiting_factor = 3;
// What a child that finished without a complaint says, so that silence always means death.
constexpr char all_well = '+';

void limit(decltype(RLIMIT_CPU) resource, rlim_t value) {
  rlimit limits{};
  if (::getrlimit(resource, &limits) != 0) return;
  if (limits.rlim_max != RLIM_INFINITY && limits.rlim_max < value) return;
  limits.rlim_cur = limits.rlim_max = value;
  ::setrlimit(resource, &limits);
}

void restrict_child(int time_limit_seconds) {
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, static_cast<rlim_t>(time_limit_seconds));
  if (limits_memory) limit(RLIMIT_AS, max_memory_bytes);
  for (const int signal_number : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGINT, SIGTERM}) {
    ::signal(signal_number, SIG_DFL);
  }
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (null >= 0) {
    ::dup2(null, STDOUT_FILENO);
    ::dup2(null, STDERR_FILENO);
  }
}

[[noreturn]] void be_child(const std::function<std::string()>& work, int pipe,
                           int time_limit_seconds) {
  restrict_child(time_limit_seconds);
  const std::string message = work().substr(0, max_message_bytes - 1);
  const std::string report = all_well + message;
  const bool written =
      ::write(pipe, report.data(), report.size()) == static_cast<ssize_t>(report.size());
  ::_exit(written ? 0 : 1);
}

// Reads until the child closes its end or the time is up.
std::string read_report(int pipe, int time_limit_seconds) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::seconds(time_limit_seconds);
  std::string report;
  std::array<char, max_message_bytes> buffer{};
  while (report.size() <= max_message_bytes) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) break;
    pollfd wait{pipe, POLLIN, 0};
    const int n_ready = ::poll(&wait, 1, static_cast<int>(left.count()));
    if (n_ready < 0 && errno == EINTR) continue;
    if (n_ready <= 0) break;
    const ssize_t n_read = ::read(pipe, buffer.data(), buffer.size());
    if (n_read < 0 && errno == EINTR) continue;
    if (n_read <= 0) break;
    report.append(buffer.data(), static_cast<std::size_t>(n_read));
  }
  return report;
}

std::string describe_death(int status) {
  if (WIFSIGNALED(status)) {
    return std::string("the trial process died: ") + ::strsignal(WTERMSIG(status));
  }
  return "the trial process ended early with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

std::string run_in_child(const std::function<std::string()>& work, int time_limit_seconds) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    throw Error(ErrorKind::runtime, std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  const pid_t child = ::fork();
  if (child < 0) {
    const int reason = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    throw Error(ErrorKind::runtime,
                std::string("cannot start a process: ") + std::strerror(reason));
  }
  if (child == 0) be_child(work, ends[1], time_limit_seconds);

  ::close(ends[1]);
  const std::string report = read_report(ends[0], waiting_factor * time_limit_seconds);
  ::close(ends[0]);
  if (report.empty()) ::kill(child, SIGKILL);  // still at work, or dead already
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!report.empty() && report.front() == all_well) return report.substr(1);
  return describe_death(status);
}

}  // namespace moexray
