#include "svg_axes.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace moexray::report::svg_parts {

Ticks round_ticks(double low, double high, int n_wanted) {
  const double span = high - low;
  Ticks ticks;
  if (!(span > 0) || !std::isfinite(span)) return ticks;
  const double exponent = std::floor(std::log10(span / n_wanted));
  const double unit = std::pow(10, exponent);
  double step = unit;
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    step = factor * unit;
    if (span / step <= n_wanted) break;
  }
  const double first = std::ceil(low / step - 1e-9);
  for (double i = first; i * step <= high + 1e-9 * span; ++i) ticks.values.push_back(i * step);
  ticks.n_decimals = std::clamp(static_cast<int>(-std::floor(std::log10(step) + 1e-9)), 0, 12);
  return ticks;
}

Range finite_range(const std::vector<double>& values) {
  Range range{INFINITY, -INFINITY};
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  if (range.low > range.high) return {};
  if (range.high - range.low > 1e-12 * std::max(std::abs(range.low), std::abs(range.high))) {
    return range;
  }
  const double margin = std::max(0.5, 0.1 * std::abs(range.low));
  return {range.low - margin, range.high + margin};
}

Range widened(Range range, double share) {
  const double margin = share * (range.high - range.low);
  return {range.low - margin, range.high + margin};
}

double label_room(const Ticks& ticks) {
  double room = 0;
  for (const double tick : ticks.values) {
    room = std::max(room, text_width(number_text(tick, ticks.n_decimals), type_size));
  }
  return room + 14;
}

void draw_y_axis(Canvas& canvas, const Frame& frame, const Ticks& ticks, const std::string& title) {
  for (const double tick : ticks.values) {
    const double y = frame.y_of(tick);
    canvas.line(frame.left, y, frame.right, y, "grid");
    canvas.line(frame.left - 4, y, frame.left, y, "axis");
    canvas.text(frame.left - 7, y + 4, "end", number_text(tick, ticks.n_decimals));
  }
  canvas.line(frame.left, frame.top, frame.left, frame.bottom, "axis");
  canvas.text(6, frame.top - 9, "", fitted(title, frame.right - 6, type_size));
}

void draw_x_axis(Canvas& canvas, const Frame& frame, const Ticks& ticks, const std::string& title,
                 bool has_grid) {
  for (const double tick : ticks.values) {
    const double x = frame.x_of(tick);
    if (has_grid) canvas.line(x, frame.top, x, frame.bottom, "grid");
    canvas.line(x, frame.bottom, x, frame.bottom + 4, "axis");
    canvas.text(x, frame.bottom + 16, "mid", number_text(tick, ticks.n_decimals));
  }
  canvas.line(frame.left, frame.bottom, frame.right, frame.bottom, "axis");
  // Centred below the axis, or as far from there as it must be to lie within the drawing.
  const std::string words = fitted(title, frame.right - 6, type_size);
  const double half = text_width(words, type_size) / 2;
  const double middle = (frame.left + frame.right) / 2;
  canvas.text(std::max(std::min(middle, frame.right - half), 6 + half), frame.bottom + 32, "mid",
              words);
}

double Legend::draw(Canvas& canvas, double left, double y, double right) const {
  constexpr double sample = 26;
  if (entries_.empty()) return y;
  const bool is_small = entries_.size() > 8;
  const double size = is_small ? small_size : type_size;
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.name);
  names = distinct_labels(names, right - left - sample, size);
  double widest = 0;
  for (const std::string& name : names) widest = std::max(widest, text_width(name, size));
  const double column = sample + widest + 10;
  const auto n_columns =
      static_cast<std::size_t>(std::max(1.0, std::floor((right - left + 10) / column)));
  // Entries follow one another down the columns.
  const std::size_t n_lines = (names.size() + n_columns - 1) / n_columns;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double x = left + column * static_cast<double>(i / n_lines);
    const double at = y + (size + 3) * (static_cast<double>(i % n_lines) + 0.5);
    entries_[i].draw(canvas, x, at, entries_[i].index);
    canvas.text(x + sample, at + 0.36 * size, is_small ? "small" : "", names[i]);
  }
  return y + (size + 3) * static_cast<double>(n_lines);
}

const char* reference_class(int index) { return index % 2 == 0 ? "reference" : "reference2"; }

void draw_reference_sample(Canvas& canvas, double x, double y, int index) {
  canvas.line(x, y, x + 20, y, reference_class(index));
}

}  // namespace moexray::report::svg_parts
