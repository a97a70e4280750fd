#pragma once

#include <atomic>
#include <string>
#include <string_view>

namespace moexray::app {

/// The terminal as commands see it: results go to stdout, everything else to stderr.
class Console {
 public:
  Console(bool quiet, const std::atomic<bool>& stop) : quiet_(quiet), stop_(stop) {}

  /// Writes a result to stdout. @throws Error (runtime) if stdout cannot be written (closed pipe, full disk).
  void print(std::string_view text);
  /// A line to stderr, unless --quiet: what the user should know about how the work goes.
  void notice(std::string_view line);
  /// A line to stderr, even with --quiet: something may be wrong with the result.
  void warn(std::string_view line);
  bool quiet() const { return quiet_; }
  /// Becomes true when the user presses Ctrl-C (or SIGTERM arrives). Long work looks at it often and
  /// throws Error (interrupted) once its state is safe.
  const std::atomic<bool>& stop_requested() const { return stop_; }

 private:
  bool quiet_;
  const std::atomic<bool>& stop_;
};

}  // namespace moexray::app
