#include "gnuplot_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "moexray/core/escape.h"

namespace moexray::report {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t max_message_bytes = 16384;

// Fixed, so that results do not depend on the user's; HOME is where fontconfig keeps its cache.
std::vector<std::string> environment() {
  std::vector<std::string> variables{"LC_ALL=C.UTF-8", "TZ=UTC0", "PATH=/usr/bin:/bin"};
  if (const char* home = std::getenv("HOME")) variables.push_back(std::string("HOME=") + home);
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

struct Process {
  pid_t pid = -1;
  int stderr_fd = -1;
};

// Returns the system's reason on failure, else 0.
int start(const fs::path& program, const fs::path& directory, const std::string& script,
          Process& process) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  ::posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
  std::vector<std::string> words{"gnuplot", "--default-settings", script};
  std::vector<std::string> variables = environment();
  const int code = ::posix_spawn(&process.pid, program.c_str(), &actions, nullptr,
                                 pointers(words).data(), pointers(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (code != 0) {
    ::close(ends[0]);
    return code;
  }
  process.stderr_fd = ends[0];
  return 0;
}

// Reads what the process has written; closes the pipe at its end.
void drain(Process& process, std::string& text) {
  std::array<char, 4096> buffer{};
  const ssize_t n = ::read(process.stderr_fd, buffer.data(), buffer.size());
  if (n > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(n));
    if (text.size() > max_message_bytes) text.resize(max_message_bytes);
  } else if (n == 0 || errno != EINTR) {
    ::close(process.stderr_fd);
    process.stderr_fd = -1;
  }
}

enum class Ending { by_itself, too_slow, unwanted };

// Waits for the process, or ends it.
Ending wait(Process& process, std::string& text, const PlotOptions& options, int& status) {
  const auto deadline = Clock::now() + options.time_limit;
  Ending ending = Ending::by_itself;
  while (::waitpid(process.pid, &status, WNOHANG) == 0) {
    if (Clock::now() > deadline) ending = Ending::too_slow;
    if (options.stop && options.stop->load()) ending = Ending::unwanted;
    if (ending != Ending::by_itself) {
      ::kill(process.pid, SIGKILL);
      ::waitpid(process.pid, &status, 0);
      break;
    }
    constexpr int patience_ms = 20;
    pollfd wanted{process.stderr_fd, POLLIN, 0};
    if (::poll(&wanted, 1, patience_ms) > 0) drain(process, text);
  }
  while (process.stderr_fd >= 0 && ending == Ending::by_itself) drain(process, text);
  if (process.stderr_fd >= 0) ::close(process.stderr_fd);
  return ending;
}

// gnuplot shows the command and a caret before it says `"x.gp" line 3: what is wrong`.
std::string error_line(std::string_view text) {
  std::string first;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t^") == std::string_view::npos) continue;
    const bool is_message = line.find(" line ") != std::string_view::npos &&
                            line.find("warning:") == std::string_view::npos;
    if (is_message) return printable(line, 200);
    if (first.empty()) first = printable(line, 200);
  }
  return first;
}

}  // namespace

std::optional<fs::path> find_gnuplot() {
  const char* const variable = std::getenv("PATH");
  std::string_view rest = variable ? variable : "/usr/bin:/bin";
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    fs::path program = fs::path(rest.substr(0, end)) / "gnuplot";
    rest.remove_prefix(std::min(end + 1, rest.size()));
    std::error_code ignored;
    if (program.is_absolute() && fs::is_regular_file(program, ignored) &&
        ::access(program.c_str(), X_OK) == 0) {
      return program;
    }
  }
  return std::nullopt;
}

std::string run_gnuplot(const fs::path& program, const fs::path& directory,
                        const std::string& script, const PlotOptions& options) {
  Process process;
  if (const int code = start(program, directory, script, process); code != 0) {
    return std::string("cannot start gnuplot: ") + std::strerror(code);
  }
  std::string text;
  int status = 0;
  switch (wait(process, text, options, status)) {
    case Ending::too_slow:
      return "gnuplot took longer than " + std::to_string(options.time_limit.count()) + " s";
    case Ending::unwanted:
      return "interrupted";
    case Ending::by_itself:
      break;
  }
  if (WIFSIGNALED(status)) return std::string("gnuplot died: ") + ::strsignal(WTERMSIG(status));
  if (WEXITSTATUS(status) == 0) return {};
  const std::string line = error_line(text);
  return line.empty() ? "gnuplot ended with status " + std::to_string(WEXITSTATUS(status)) : line;
}

}  // namespace moexray::report
