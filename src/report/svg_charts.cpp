#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "moexray/core/error.h"
#include "moexray/report/document.h"
#include "moexray/report/number.h"
#include "svg_canvas.h"
#include "svg_parts.h"

namespace moexray::report::svg_parts {
namespace {

// Where values lie on the drawing: `right` and `bottom` belong to the smallest y and largest x.
struct Frame {
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;
  Range x = {};
  Range y = {};

  double x_of(double value) const {
    return left + (value - x.low) / (x.high - x.low) * (right - left);
  }
  double y_of(double value) const {
    return bottom - (value - y.low) / (y.high - y.low) * (bottom - top);
  }
};

Range widened(Range range, double share) {
  const double margin = share * (range.high - range.low);
  return {range.low - margin, range.high + margin};
}

// Room for the labels of the y axis, left of the frame.
double label_room(const Ticks& ticks) {
  double room = 0;
  for (const double tick : ticks.values) {
    room = std::max(room, text_width(fixed(tick, ticks.n_decimals)));
  }
  return room + 8;
}

void draw_y_axis(Canvas& canvas, const Frame& frame, const Ticks& ticks, const std::string& title) {
  for (const double tick : ticks.values) {
    canvas.line(frame.left, frame.y_of(tick), frame.right, frame.y_of(tick), "grid");
    canvas.text(frame.left - 5, frame.y_of(tick) + 4, "end", fixed(tick, ticks.n_decimals));
  }
  canvas.line(frame.left, frame.top, frame.left, frame.bottom, "axis");
  canvas.text(2, 11, "", shortened(title, 70));
}

void draw_x_axis(Canvas& canvas, const Frame& frame, const Ticks& ticks, const std::string& title) {
  for (const double tick : ticks.values) {
    canvas.line(frame.x_of(tick), frame.bottom, frame.x_of(tick), frame.bottom + 4, "axis");
    canvas.text(frame.x_of(tick), frame.bottom + 16, "mid", fixed(tick, ticks.n_decimals));
  }
  canvas.line(frame.left, frame.bottom, frame.right, frame.bottom, "axis");
  canvas.text((frame.left + frame.right) / 2, frame.bottom + 31, "mid", shortened(title, 70));
}

// A label on one line or, cut at the blank nearest to its middle, on two.
std::vector<std::string> label_lines(const std::string& label, std::size_t n_columns) {
  if (text_width(label) <= character_width * static_cast<double>(n_columns)) {
    return {shortened(label, n_columns)};
  }
  const auto middle = static_cast<std::ptrdiff_t>(label.size() / 2);
  std::size_t best = std::string::npos;
  for (std::size_t i = 0; i < label.size(); ++i) {
    if (label[i] != ' ') continue;
    const auto distance = [&](std::size_t at) {
      return std::abs(static_cast<std::ptrdiff_t>(at) - middle);
    };
    if (best == std::string::npos || distance(i) < distance(best)) best = i;
  }
  if (best == std::string::npos) return {shortened(label, n_columns)};
  return {shortened(label.substr(0, best), n_columns),
          shortened(label.substr(best + 1), n_columns)};
}

// The value, its error bar and all, that a bar reaches.
std::vector<double> bar_ends(const BarChart& chart) {
  std::vector<double> ends{0};
  for (std::size_t i = 0; i < chart.values.size(); ++i) {
    const double error = std::isfinite(chart.errors[i]) ? chart.errors[i] : 0;
    ends.push_back(chart.values[i] + error);
    ends.push_back(chart.values[i] < 0 ? chart.values[i] - error : chart.values[i]);
  }
  return ends;
}

void draw_bar(Canvas& canvas, const Frame& frame, const BarChart& chart, std::size_t i,
              double room) {
  const double value = chart.values[i];
  const double error = chart.errors[i];
  const double middle = frame.left + room * (static_cast<double>(i) + 0.5);
  const double half = std::min(room * 0.32, 36.0);
  const bool has_error = std::isfinite(error) && std::isfinite(value);
  std::string hover = one_line(chart.labels[i], 120) + ": " + fixed(value, 4);
  if (has_error) hover += " ± " + fixed(error, 4);
  if (!chart.error_title.empty() && has_error) hover += "\n± " + chart.error_title;
  if (std::isfinite(value)) {
    const double top = frame.y_of(std::max(value, 0.0));
    canvas.rect(middle - half, top, 2 * half, frame.y_of(std::min(value, 0.0)) - top,
                "class=\"bar\"", hover);
  }
  double highest = std::isfinite(value) ? std::max(value, 0.0) : 0;
  if (has_error && error > 0) {
    const double high = frame.y_of(value + error);
    const double low = frame.y_of(value - error);
    const std::string x = number(middle);
    canvas.path("error",
                fmt::format("M{} {}V{}M{} {}h10M{} {}h10", x, number(low), number(high),
                            number(middle - 5), number(low), number(middle - 5), number(high)),
                {});
    highest = std::max(highest, value + error);
  }
  canvas.text(middle, frame.y_of(highest) - 5, "mid strong", fixed(value, 3));
  double y = frame.bottom + 15;
  for (const std::string& line : label_lines(
           chart.labels[i], static_cast<std::size_t>(std::max(room / character_width, 4.0)))) {
    canvas.text(middle, y, "mid", line);
    y += 13;
  }
}

// The polyline through defined values, broken where there is none.
std::string trend_path(const Frame& frame, const std::vector<double>& values) {
  std::string path;
  bool is_open = false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      is_open = false;
      continue;
    }
    path += fmt::format("{}{} {}", is_open ? "L" : "M", number(frame.x_of(static_cast<double>(i))),
                        number(frame.y_of(values[i])));
    is_open = true;
  }
  return path;
}

std::string disc(double x, double y, double radius) {
  const std::string r = number(radius);
  const std::string d = number(2 * radius);
  return fmt::format("M{} {}a{} {} 0 1 0 {} 0a{} {} 0 1 0 -{} 0z", number(x - radius), number(y), r,
                     r, d, r, r, d);
}

// Eight shapes of about equal area around the point where a path begins.
std::string marker(int shape, double x, double y) {
  switch (shape % 8) {
    case 0:
      return disc(x, y, 4.2);
    case 1:
      return fmt::format("M{} {}h7.6v7.6h-7.6z", number(x - 3.8), number(y - 3.8));
    case 2:
      return fmt::format("M{} {}l4.8 8.2h-9.6z", number(x), number(y - 5.2));
    case 3:
      return fmt::format("M{} {}l5.4 5.4l-5.4 5.4l-5.4 -5.4z", number(x), number(y - 5.4));
    case 4:
      return fmt::format("M{} {}l4.8 -8.2h-9.6z", number(x), number(y + 5.2));
    case 5:
      return fmt::format("M{} {}h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3z",
                         number(x - 1.7), number(y - 5));
    case 6:
      return fmt::format(
          "M{} {}l2.4 -2.4l2.4 2.4l2.4 -2.4l2.4 2.4l-2.4 2.4l2.4 2.4l-2.4 2.4"
          "l-2.4 -2.4l-2.4 2.4l-2.4 -2.4l2.4 -2.4z",
          number(x - 4.8), number(y - 2.4));
    default:
      return fmt::format("M{} {}h6.4v10h-6.4z", number(x - 3.2), number(y - 5));
  }
}

// Groups beyond the eighth take the colours once more, with other markers.
int shape_of(int group) { return group % 8 + group / 8; }

double draw_legend(Canvas& canvas, const std::vector<std::string>& groups, double left, double y) {
  double x = left;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const std::string name = shortened(groups[g], 30);
    const double room = 16 + text_width(name) + 12;
    if (x > left && x + room > width) {
      x = left;
      y += 16;
    }
    const int group = static_cast<int>(g);
    canvas.path(fmt::format("point g{}", group % 8), marker(shape_of(group), x + 6, y - 4), {});
    canvas.text(x + 15, y, "", name);
    x += room;
  }
  return y;
}

}  // namespace

std::string bar_chart(const BarChart& chart, std::string_view label) {
  check_size("values of a bar chart", chart.values.size(), chart.labels.size());
  check_size("errors of a bar chart", chart.errors.size(), chart.labels.size());
  const Range range = finite_range(bar_ends(chart));
  const Ticks ticks = round_ticks(range.low, range.high * 1.06, 6);
  const Frame frame{label_room(ticks), 22, width - 4, 250, {}, {range.low, range.high * 1.06}};
  Canvas canvas;
  draw_y_axis(canvas, frame, ticks, chart.value_title);
  const double room = (frame.right - frame.left) /
                      static_cast<double>(std::max<std::size_t>(chart.values.size(), 1));
  for (std::size_t i = 0; i < chart.values.size(); ++i) draw_bar(canvas, frame, chart, i, room);
  canvas.line(frame.left, frame.y_of(0), frame.right, frame.y_of(0), "axis");
  if (chart.error_title.empty()) return canvas.finish(frame.bottom + 36, label);
  canvas.text(frame.left, frame.bottom + 46, "", "error bars: " + shortened(chart.error_title, 55));
  return canvas.finish(frame.bottom + 52, label);
}

std::string line_chart(const LineChart& chart, std::string_view label) {
  const std::size_t n = chart.values.size();
  std::vector<double> values = chart.values;
  const bool has_value =
      std::any_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
  if (has_value) values.push_back(0);  // effect sizes mean something as distances from 0
  const Range range = widened(finite_range(values), 0.06);
  const Ticks ticks = round_ticks(range.low, range.high, 6);
  const Frame frame{label_room(ticks),
                    22,
                    width - 6,
                    230,
                    {-0.5, static_cast<double>(std::max<std::size_t>(n, 1)) - 0.5},
                    range};
  Ticks steps = round_ticks(0, static_cast<double>(std::max<std::size_t>(n, 2)) - 1, 17);
  std::erase_if(steps.values, [](double tick) { return tick != std::round(tick); });
  steps.n_decimals = 0;
  Canvas canvas;
  draw_y_axis(canvas, frame, ticks, chart.value_title);
  draw_x_axis(canvas, frame, steps, chart.x_title);
  canvas.path("trend", trend_path(frame, chart.values), {});
  for (std::size_t i = 0; i < n; ++i) {
    const double value = chart.values[i];
    if (!std::isfinite(value)) continue;
    const double x = frame.x_of(static_cast<double>(i));
    const bool is_marked = static_cast<int>(i) == chart.marked;
    std::string hover =
        fmt::format("{} {}\n{}: {}", chart.x_title.empty() ? "at" : chart.x_title, i,
                    chart.value_title.empty() ? "value" : chart.value_title, fixed(value, 4));
    if (is_marked && !chart.mark_label.empty()) hover += "\n" + one_line(chart.mark_label, 120);
    canvas.path(is_marked ? "point g1" : "point g0",
                disc(x, frame.y_of(value), is_marked ? 6 : 3.6), hover);
    if (!is_marked) continue;
    const bool is_right = x > (frame.left + frame.right) / 2;
    canvas.text(x + (is_right ? -9 : 9), frame.y_of(value) - 7, is_right ? "end strong" : "strong",
                shortened(chart.mark_label, 40));
  }
  if (!has_value) canvas.text(width / 2, 126, "mid", "no value is defined");
  return canvas.finish(frame.bottom + 36, label);
}

std::string scatter_plot(const ScatterPlot& chart, std::string_view label) {
  std::vector<double> xs;
  std::vector<double> ys;
  for (const ScatterPlot::Point& point : chart.points) {
    if (point.group < 0 || static_cast<std::size_t>(point.group) >= chart.groups.size()) {
      throw Error(ErrorKind::runtime, "a point of a figure has a group that is not there");
    }
    xs.push_back(point.x);
    ys.push_back(point.y);
  }
  const Range y_range = widened(finite_range(ys), 0.05);
  const Ticks y_ticks = round_ticks(y_range.low, y_range.high, 6);
  const Frame frame{
      label_room(y_ticks), 22, width - 6, 340, widened(finite_range(xs), 0.05), y_range};
  Canvas canvas;
  draw_y_axis(canvas, frame, y_ticks, chart.y_title);
  draw_x_axis(canvas, frame, round_ticks(frame.x.low, frame.x.high, 6), chart.x_title);
  for (const ScatterPlot::Point& point : chart.points) {
    if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
    const std::string& group = chart.groups[static_cast<std::size_t>(point.group)];
    std::string hover = one_line(point.label, 120) + " (" + one_line(group, 60) + ")";
    if (!point.text.empty()) hover += "\n" + one_line(point.text, 160);
    canvas.path(fmt::format("point g{}", point.group % 8),
                marker(shape_of(point.group), frame.x_of(point.x), frame.y_of(point.y)), hover);
  }
  const double bottom = draw_legend(canvas, chart.groups, frame.left, frame.bottom + 52);
  return canvas.finish(bottom + 8, label);
}

}  // namespace moexray::report::svg_parts
