#include "run_command.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <utility>

extern char** environ;

namespace moexray::test {
namespace {

void check(int code, const char* what) {
  if (code != 0) throw std::runtime_error(std::string(what) + ": " + std::strerror(code));
}

struct Pipe {
  int read_end = -1;
  int write_end = -1;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) check(errno, "pipe2");
  return {ends[0], ends[1]};
}

void close_fd(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

// Appends what can be read from `fd`; closes it at its end.
void drain(int& fd, std::string& text) {
  std::array<char, 65536> buffer{};
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  if (n > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(n));
  } else if (n == 0 || errno != EINTR) {
    close_fd(fd);
  }
}

}  // namespace

std::filesystem::path program_path() { return MOEXRAY_PROGRAM; }

RunningCommand::RunningCommand(const std::vector<std::string>& words, const CommandOptions& options)
    : input_(options.input),
      keep_stdin_open_(options.keep_stdin_open),
      deadline_(std::chrono::steady_clock::now() + options.timeout) {
  // Writing to a program that has ended must not end the test.
  ::signal(SIGPIPE, SIG_IGN);
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  posix_spawn_file_actions_t actions;
  check(::posix_spawn_file_actions_init(&actions), "posix_spawn_file_actions_init");
  ::posix_spawn_file_actions_adddup2(&actions, in.read_end, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out.write_end, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err.write_end, STDERR_FILENO);
  if (!options.working_directory.empty()) {
    ::posix_spawn_file_actions_addchdir_np(&actions, options.working_directory.c_str());
  }
  // The program starts with default signal dispositions, as from a shell.
  posix_spawnattr_t attributes;
  check(::posix_spawnattr_init(&attributes), "posix_spawnattr_init");
  sigset_t defaults;
  ::sigemptyset(&defaults);
  for (const int number : {SIGPIPE, SIGHUP}) ::sigaddset(&defaults, number);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  if (options.close_stdout) close_fd(out.read_end);
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const int code = ::posix_spawnp(&pid_, argv[0], &actions, &attributes, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  close_fd(in.read_end);
  close_fd(out.write_end);
  close_fd(err.write_end);
  in_fd_ = in.write_end;
  out_fd_ = out.read_end;
  err_fd_ = err.read_end;
  check(code, words[0].c_str());
  ::fcntl(in_fd_, F_SETFL, O_NONBLOCK);
}

RunningCommand::~RunningCommand() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  close_fd(in_fd_);
  close_fd(out_fd_);
  close_fd(err_fd_);
}

void RunningCommand::send_signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

// Moves bytes once; false when the program has closed both of its outputs.
bool RunningCommand::pump(int timeout_ms) {
  if (input_.empty() && !keep_stdin_open_) close_fd(in_fd_);
  std::array<pollfd, 3> fds{pollfd{out_fd_, POLLIN, 0}, pollfd{err_fd_, POLLIN, 0},
                            pollfd{input_.empty() ? -1 : in_fd_, POLLOUT, 0}};
  if (out_fd_ < 0 && err_fd_ < 0) return false;
  if (::poll(fds.data(), fds.size(), timeout_ms) <= 0) return true;
  if (fds[0].revents != 0) drain(out_fd_, result_.out);
  if (fds[1].revents != 0) drain(err_fd_, result_.err);
  if (fds[2].revents != 0) {
    const ssize_t n = ::write(in_fd_, input_.data(), input_.size());
    if (n >= 0) {
      input_.erase(0, static_cast<std::size_t>(n));
    } else if (errno != EAGAIN && errno != EINTR) {
      input_.clear();
    }
  }
  return true;
}

bool RunningCommand::wait_for_stderr(std::string_view text) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (result_.err.find(text) == std::string::npos) {
    if (std::chrono::steady_clock::now() > limit || !pump(50)) return false;
  }
  return true;
}

CommandResult RunningCommand::wait() {
  while (pump(100)) {
    if (std::chrono::steady_clock::now() > deadline_) {
      ADD_FAILURE() << "the program did not end in time; stderr so far: " << result_.err;
      ::kill(pid_, SIGKILL);
      break;
    }
  }
  close_fd(in_fd_);
  int status = 0;
  rusage usage{};
  ::wait4(std::exchange(pid_, -1), &status, 0, &usage);
  result_.max_resident_bytes = std::int64_t{usage.ru_maxrss} * 1024;
  result_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return std::move(result_);
}

CommandResult run_command(const std::vector<std::string>& words, const CommandOptions& options) {
  return RunningCommand(words, options).wait();
}

CommandResult run_moexray(const std::vector<std::string>& words, const CommandOptions& options) {
  std::vector<std::string> all = {program_path().string()};
  all.insert(all.end(), words.begin(), words.end());
  return run_command(all, options);
}

}  // namespace moexray::test
