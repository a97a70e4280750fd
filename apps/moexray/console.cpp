#include "console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "moexray/core/error.h"

namespace moexray::app {
namespace {

// Writes everything, or returns the errno that stopped it.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

constexpr std::size_t default_width = 80;
// Below, no table can be read; above, no line.
constexpr std::size_t least_width = 20;
constexpr std::size_t greatest_width = 1000;

std::size_t width_of_output(bool is_terminal) {
  if (const char* value = std::getenv("COLUMNS"); value != nullptr) {
    std::size_t n = 0;
    const char* end = value + std::strlen(value);
    const auto [rest, error] = std::from_chars(value, end, n);
    if (error == std::errc() && rest == end && n > 0) {
      return std::clamp(n, least_width, greatest_width);
    }
  }
  winsize size{};
  if (is_terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return std::clamp<std::size_t>(size.ws_col, least_width, greatest_width);
  }
  return default_width;
}

constexpr std::string_view clear_line = "\r\x1b[K";

}  // namespace

Console::Console(bool quiet, const std::atomic<bool>& stop)
    : quiet_(quiet),
      stderr_is_terminal_(::isatty(STDERR_FILENO) == 1),
      stdout_is_terminal_(::isatty(STDOUT_FILENO) == 1),
      width_(width_of_output(stdout_is_terminal_)),
      stop_(&stop) {}

void Console::print(std::string_view text) {
  if (stdout_is_terminal_) show_status({});
  const int code = write_all(STDOUT_FILENO, text);
  if (code == 0) return;
  stdout_is_closed_ = code == EPIPE;
  throw Error(ErrorKind::runtime,
              std::string("cannot write to standard output: ") + std::strerror(code));
}

void Console::notice(std::string_view line) {
  if (!quiet_) write_line(line);
}

void Console::warn(std::string_view line) { write_line("warning: " + std::string(line)); }

void Console::show_status(std::string_view line) {
  if (quiet_ || !stderr_is_terminal_) return;
  if (line.empty() && !status_is_shown_) return;
  write_all(STDERR_FILENO, std::string(clear_line) + std::string(line));
  status_is_shown_ = !line.empty();
}

// Nothing can be done about a stderr that cannot be written.
void Console::write_line(std::string_view line) {
  show_status({});
  write_all(STDERR_FILENO, std::string(line) + "\n");
}

}  // namespace moexray::app
