#include "program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "moexray/core/escape.h"

namespace moexray::report {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t max_kept_bytes = 16'384;

// Fixed, so that results do not depend on the user's, but for where fonts are found. The date is
// what cairo and librsvg write into a PDF.
std::vector<std::string> environment() {
  std::vector<std::string> variables{"LC_ALL=C.UTF-8", "TZ=UTC0", "PATH=/usr/bin:/bin",
                                     "SOURCE_DATE_EPOCH=0"};
  for (const char* const name : {"HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
                                 "FONTCONFIG_FILE", "FONTCONFIG_PATH"}) {
    if (const char* value = std::getenv(name)) variables.push_back(std::string(name) + "=" + value);
  }
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

// What the process writes, up to a bound, until it closes its end.
struct Stream {
  int fd = -1;
  std::string text;

  void drain() {
    std::array<char, 4096> buffer{};
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(n));
      if (text.size() > max_kept_bytes) text.resize(max_kept_bytes);
    } else if (n == 0 || errno != EINTR) {
      close();
    }
  }
  void close() {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
};

struct Process {
  pid_t pid = -1;
  Stream output;
  Stream errors;
};

// Returns the system's reason on failure, else 0.
int start(const ProgramRun& run, Process& process) {
  std::array<int, 2> output{};
  std::array<int, 2> errors{};
  if (::pipe2(output.data(), O_CLOEXEC) != 0) return errno;
  process.output.fd = output[0];
  if (::pipe2(errors.data(), O_CLOEXEC) != 0) {
    const int code = errno;
    ::close(output[1]);
    return code;
  }
  process.errors.fd = errors[0];
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, errors[1], STDERR_FILENO);
  ::posix_spawn_file_actions_addchdir_np(&actions, run.directory.c_str());
  std::vector<std::string> words{run.program.filename().string()};
  words.insert(words.end(), run.arguments.begin(), run.arguments.end());
  std::vector<std::string> variables = environment();
  const int code = ::posix_spawn(&process.pid, run.program.c_str(), &actions, nullptr,
                                 pointers(words).data(), pointers(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(output[1]);
  ::close(errors[1]);
  return code;
}

enum class Ending { by_itself, too_slow, unwanted };

// Waits for the process, or ends it.
Ending wait(Process& process, const ProgramRun& run, int& status) {
  const auto deadline = Clock::now() + run.time_limit;
  Ending ending = Ending::by_itself;
  const std::array<Stream*, 2> streams{&process.output, &process.errors};
  while (::waitpid(process.pid, &status, WNOHANG) == 0) {
    if (Clock::now() > deadline) ending = Ending::too_slow;
    if (run.stop && run.stop->load()) ending = Ending::unwanted;
    if (ending != Ending::by_itself) {
      ::kill(process.pid, SIGKILL);
      ::waitpid(process.pid, &status, 0);
      break;
    }
    constexpr int patience_ms = 10;
    std::array<pollfd, 2> wanted{{{process.output.fd, POLLIN, 0}, {process.errors.fd, POLLIN, 0}}};
    if (::poll(wanted.data(), wanted.size(), patience_ms) <= 0) continue;
    for (std::size_t i = 0; i < streams.size(); ++i) {
      if (wanted[i].revents != 0) streams[i]->drain();
    }
  }
  // What a child of the program holds open is not waited for.
  for (Stream* stream : streams) {
    pollfd rest{stream->fd, POLLIN, 0};
    while (ending == Ending::by_itself && stream->fd >= 0 && ::poll(&rest, 1, 0) > 0) {
      stream->drain();
    }
    stream->close();
  }
  return ending;
}

std::string first_line(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) return printable(line, 200);
  }
  return {};
}

}  // namespace

std::optional<fs::path> find_program(const std::string& name) {
  const char* const variable = std::getenv("PATH");
  std::string_view rest = variable ? variable : "/usr/bin:/bin";
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    fs::path program = fs::path(rest.substr(0, end)) / name;
    rest.remove_prefix(std::min(end + 1, rest.size()));
    std::error_code ignored;
    if (program.is_absolute() && fs::is_regular_file(program, ignored) &&
        ::access(program.c_str(), X_OK) == 0) {
      return program;
    }
  }
  return std::nullopt;
}

ProgramResult run_program(const ProgramRun& run) {
  const std::string name = run.program.filename().string();
  Process process;
  if (const int code = start(run, process); code != 0) {
    process.output.close();
    process.errors.close();
    return {"cannot start " + name + ": " + std::strerror(code), {}};
  }
  int status = 0;
  const Ending ending = wait(process, run, status);
  ProgramResult result{{}, std::move(process.output.text)};
  if (ending == Ending::too_slow) {
    result.problem = name + " took longer than " + std::to_string(run.time_limit.count()) + " s";
  } else if (ending == Ending::unwanted) {
    result.problem = "interrupted";
  } else if (WIFSIGNALED(status)) {
    result.problem = name + " died: " + ::strsignal(WTERMSIG(status));
  } else if (WEXITSTATUS(status) != 0) {
    const std::string line = first_line(process.errors.text);
    result.problem = line.empty()
                         ? name + " ended with status " + std::to_string(WEXITSTATUS(status))
                         : name + ": " + line;
  }
  return result;
}

}  // namespace moexray::report
