#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "console.h"

namespace moexray::app {

/// Tells on stderr how far long work has come: on a terminal a bar with rate and time left, redrawn
/// at most ten times a second; else one line a minute and one at the end. Silent with --quiet. One
/// thread uses it at a time.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  /// `total` units of work are ahead (0: unknown); `unit` is their plural: "tokens".
  Progress(Console& console, std::string label, std::int64_t total, std::string unit);
  /// Takes the bar away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` units are finished in all. Cheap enough to be called often.
  void update(std::int64_t done);
  /// The same where units take unlike times and the caller knows better how long the rest will
  /// take; nothing: it cannot be said yet.
  void update(std::int64_t done, std::optional<double> seconds_left);
  /// Less work turned out to be ahead (a prompt ended early), or more.
  void set_total(std::int64_t total) { total_ = total; }
  /// The work is finished: takes the bar away and writes the closing line.
  void finish();

  std::int64_t done() const { return done_; }
  double elapsed_seconds() const;
  /// Units per second since the start.
  double rate() const;

 private:
  Console& console_;
  std::string label_;
  std::string unit_;
  std::int64_t total_;
  std::int64_t done_ = 0;
  Clock::time_point start_;
  Clock::time_point last_shown_;
  bool finished_ = false;
};

/// The line that Progress shows, as a function of its state: "label [####....] 12/80 units, 3.4
/// units/s, 0:21 left". `bar_width` 0 leaves the bar out, no `seconds_left` the time left.
std::string progress_line(const std::string& label, const std::string& unit, std::int64_t done,
                          std::int64_t total, double elapsed_seconds,
                          std::optional<double> seconds_left, int bar_width);

/// How long the rest takes if every unit takes as long as those done did; nothing before the first
/// unit and after the last.
std::optional<double> even_seconds_left(std::int64_t done, std::int64_t total,
                                        double elapsed_seconds);

/// Seconds as "0:07", "12:30" or "3:05:09".
std::string format_duration(double seconds);

}  // namespace moexray::app
