#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "cli.h"
#include "command.h"
#include "console.h"
#include "moexray/core/error.h"

namespace {

using moexray::Error;
using moexray::ErrorKind;
namespace app = moexray::app;

constexpr int exit_done = 0;
constexpr int exit_failure = 1;
constexpr int exit_usage = 2;
constexpr int exit_signal_base = 128;  // as shells count: 130 after Ctrl-C, 143 after SIGTERM

std::atomic<bool> stop_requested = false;
std::atomic<int> stop_signal = SIGINT;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "a signal handler writes them");

timespec first_signal_time{};
bool stderr_is_terminal = false;

double seconds_since(const timespec& start) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec - start.tv_sec) +
         static_cast<double>(now.tv_nsec - start.tv_nsec) * 1e-9;
}

// What the user of a terminal is told.
void write_to_terminal(std::string_view text) {
  if (!stderr_is_terminal) return;
  const int code = errno;  // write() may change it under whatever was interrupted
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
  errno = code;
}

// The first signal asks the work to stop where it is safe, a later one ends the program at once.
// `timeout`, shells and a terminal that goes away send theirs twice in a moment: that is one
// request. A hangup is never urgent: nobody is there who waits.
extern "C" void request_stop(int number) {
  if (!stop_requested.exchange(true)) {
    stop_signal = number;
    ::clock_gettime(CLOCK_MONOTONIC, &first_signal_time);
    write_to_terminal("\r\x1b[Kstopping; Ctrl-C again ends at once\n");
    return;
  }
  constexpr double same_request_seconds = 0.3;
  if (number == SIGHUP || seconds_since(first_signal_time) < same_request_seconds) return;
  ::_exit(exit_signal_base + number);
}

void install_signal_handlers() {
  stderr_is_terminal = ::isatty(STDERR_FILENO) == 1;
  struct sigaction action{};
  action.sa_handler = request_stop;
  action.sa_flags = SA_RESTART;
  // While one is handled the others wait: they share what they note.
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&action.sa_mask, number);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  struct sigaction hangup{};
  ::sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) ::sigaction(SIGHUP, &action, nullptr);  // nohup stays in force
  // A reader that went away is an error of write(), not a sudden death that leaves files behind.
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, nullptr);
  ::sigaction(SIGXFSZ, &action, nullptr);  // a limit on file sizes becomes a write error
}

// A file opened while a standard descriptor is closed would take its number, and messages would go
// into it. The replacements refuse to be used, so that the failure is still seen.
void occupy_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) == -1) ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

int exit_code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
      return exit_usage;
    case ErrorKind::interrupted:
      return exit_signal_base + stop_signal;
    case ErrorKind::data:
    case ErrorKind::runtime:
      return exit_failure;
  }
  return exit_failure;
}

// Must not fail itself: where stderr is closed, the exit code has to tell it all.
void report(const std::string& command_name, std::string_view message) {
  const std::string_view space = command_name.empty() ? "" : " ";
  std::fputs(fmt::format("moexray{}{}: {}\n", space, command_name, message).c_str(), stderr);
}

void report(const std::string& command_name, const Error& error) {
  report(command_name, error.what());
  if (error.kind() != ErrorKind::usage) return;
  const std::string_view space = command_name.empty() ? "" : " ";
  std::fputs(fmt::format("Try: moexray {}{}--help\n", command_name, space).c_str(), stderr);
}

int run(const std::vector<std::string>& words, const std::string& command_name) {
  app::Console console(false, stop_requested);
  try {
    const app::Invocation invocation =
        app::CommandLine::parse(words, app::command_table(), console.width());
    if (invocation.command == nullptr) {
      console.print(invocation.text);
      return exit_done;
    }
    console = app::Console(invocation.quiet, stop_requested);
    invocation.command->run(invocation.arguments, console);
    return exit_done;
  } catch (const Error& error) {
    // Whoever closed the pipe (`| head`) has seen enough.
    if (console.stdout_is_closed()) return exit_failure;
    console.show_status({});
    report(command_name, error);
    return exit_code_of(error.kind());
  }
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_descriptors();
  install_signal_handlers();
  std::string command_name;
  try {
    const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
    command_name = app::CommandLine::command_name(words, app::command_table());
    return run(words, command_name);
  } catch (const std::bad_alloc&) {
    report(command_name, "out of memory");
  } catch (const std::exception& error) {
    report(command_name, std::string("internal error: ") + error.what());
  }
  return exit_failure;
}
