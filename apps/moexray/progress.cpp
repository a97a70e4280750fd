#include "progress.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace moexray::app {
namespace {

using namespace std::chrono_literals;

constexpr auto terminal_interval = 100ms;
constexpr auto log_interval = 60s;
constexpr int max_bar_width = 24;

std::string format_rate(double rate) {
  return rate >= 100 ? fmt::format("{:.0f}", rate) : fmt::format("{:.1f}", rate);
}

int terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

std::string format_duration(double seconds) {
  // The bound keeps the conversion defined for rates near zero.
  const auto total = static_cast<std::int64_t>(std::llround(std::clamp(seconds, 0.0, 3.6e8)));
  const std::int64_t hours = total / 3600;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, total / 60 % 60, total % 60);
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

std::string progress_line(const std::string& label, const std::string& unit, std::int64_t done,
                          std::int64_t total, double elapsed_seconds,
                          std::optional<double> seconds_left, int bar_width) {
  std::string line = label;
  if (total > 0 && bar_width > 0) {
    const double fraction =
        std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
    const auto filled = static_cast<std::size_t>(fraction * bar_width);
    line += " [" + std::string(filled, '#') +
            std::string(static_cast<std::size_t>(bar_width) - filled, '.') + "]";
  } else if (bar_width == 0) {
    line += ":";
  }
  line +=
      total > 0 ? fmt::format(" {}/{} {}", done, total, unit) : fmt::format(" {} {}", done, unit);
  if (done <= 0 || elapsed_seconds <= 0) return line;
  const double rate = static_cast<double>(done) / elapsed_seconds;
  line += fmt::format(", {} {}/s", format_rate(rate), unit);
  if (total > done && seconds_left) {
    line += fmt::format(", {} left", format_duration(*seconds_left));
  }
  return line;
}

std::optional<double> even_seconds_left(std::int64_t done, std::int64_t total,
                                        double elapsed_seconds) {
  if (done <= 0 || total <= done || elapsed_seconds <= 0) return std::nullopt;
  return static_cast<double>(total - done) * elapsed_seconds / static_cast<double>(done);
}

Progress::Progress(Console& console, std::string label, std::int64_t total, std::string unit)
    : console_(console),
      label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      start_(Clock::now()),
      last_shown_(start_) {}

Progress::~Progress() { console_.show_status({}); }

double Progress::elapsed_seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

double Progress::rate() const {
  const double seconds = elapsed_seconds();
  return seconds > 0 ? static_cast<double>(done_) / seconds : 0.0;
}

void Progress::update(std::int64_t done) {
  update(done, even_seconds_left(done, total_, elapsed_seconds()));
}

void Progress::update(std::int64_t done, std::optional<double> seconds_left) {
  done_ = done;
  if (console_.quiet()) return;
  const auto now = Clock::now();
  const bool on_terminal = console_.stderr_is_terminal();
  if (now - last_shown_ <
      (on_terminal ? Clock::duration(terminal_interval) : Clock::duration(log_interval)))
    return;
  last_shown_ = now;
  if (!on_terminal) {
    console_.notice(
        progress_line(label_, unit_, done_, total_, elapsed_seconds(), seconds_left, 0));
    return;
  }
  // A line that wrapped could not be taken away again.
  const auto width = static_cast<std::size_t>(terminal_width() - 1);
  std::string line =
      progress_line(label_, unit_, done_, total_, elapsed_seconds(), seconds_left, max_bar_width);
  if (line.size() > width) {
    line = progress_line(label_, unit_, done_, total_, elapsed_seconds(), seconds_left, 0)
               .substr(0, width);
  }
  console_.show_status(line);
}

void Progress::finish() {
  if (std::exchange(finished_, true)) return;
  console_.show_status({});
  const double seconds = elapsed_seconds();
  console_.notice(progress_line(label_, unit_, done_, 0, seconds, std::nullopt, 0) + ", took " +
                  format_duration(seconds));
}

}  // namespace moexray::app
