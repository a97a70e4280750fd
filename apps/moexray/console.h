#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>

namespace moexray::app {

/// The terminal as commands see it: results go to stdout, everything else to stderr.
class Console {
 public:
  Console(bool quiet, const std::atomic<bool>& stop);

  /// Writes a result to stdout. @throws Error (runtime) if stdout cannot be written (closed pipe,
  /// full disk).
  void print(std::string_view text);
  /// A line to stderr, unless --quiet: what the user should know about how the work goes.
  void notice(std::string_view line);
  /// A line to stderr, even with --quiet: something may be wrong with the result.
  void warn(std::string_view line);
  /// Shows `line` as the last line of the terminal, in place of the status shown before; empty
  /// takes it away. Does nothing unless stderr is a terminal and --quiet was not given.
  void show_status(std::string_view line);

  /// Columns that lines on stdout may take: COLUMNS of the environment if it is set, else the width
  /// of the terminal, else, where stdout is no terminal, 80.
  std::size_t width() const { return width_; }

  bool quiet() const { return quiet_; }
  /// True if stderr is a terminal.
  bool stderr_is_terminal() const { return stderr_is_terminal_; }
  bool stdout_is_terminal() const { return stdout_is_terminal_; }
  /// True once stdout turned out to be a pipe that nobody reads any more.
  bool stdout_is_closed() const { return stdout_is_closed_; }
  /// Becomes true when the user presses Ctrl-C (or SIGTERM or SIGHUP arrives). Long work looks at
  /// it often and throws Error (interrupted) once its state is safe.
  const std::atomic<bool>& stop_requested() const { return *stop_; }

 private:
  void write_line(std::string_view line);

  bool quiet_;
  bool stderr_is_terminal_;
  bool stdout_is_terminal_;
  std::size_t width_;
  bool stdout_is_closed_ = false;
  bool status_is_shown_ = false;
  const std::atomic<bool>* stop_;
};

}  // namespace moexray::app
