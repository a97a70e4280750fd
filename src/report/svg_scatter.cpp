#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "svg_axes.h"
#include "svg_parts.h"

namespace moexray::report::svg_parts {

std::string disc(double x, double y, double radius) {
  const std::string r = number(radius);
  const std::string d = number(2 * radius);
  return fmt::format("M{} {}a{} {} 0 1 0 {} 0a{} {} 0 1 0 -{} 0z", number(x - radius), number(y), r,
                     r, d, r, r, d);
}

namespace {

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

void draw_group(Canvas& canvas, double x, double y, int group, const std::string& hover) {
  // Groups beyond the eighth take the colours once more, with other markers.
  canvas.path(fmt::format("point g{}", group % 8), marker(group % 8 + group / 8, x, y), hover);
}

void draw_group_sample(Canvas& canvas, double x, double y, int group) {
  draw_group(canvas, x + 14, y, group, {});
}

// Both ranges widened to the same unit on the drawing.
void make_even(Frame& frame) {
  const double x_unit = (frame.x.high - frame.x.low) / (frame.right - frame.left);
  const double y_unit = (frame.y.high - frame.y.low) / (frame.bottom - frame.top);
  const double factor = x_unit / y_unit;
  if (!std::isfinite(factor)) return;
  if (factor > 1) frame.y = widened(frame.y, (factor - 1) / 2);
  if (factor < 1) frame.x = widened(frame.x, (1 / factor - 1) / 2);
}

}  // namespace

std::string draw(const ScatterPlot& chart, const Figure& figure, Purpose purpose) {
  std::vector<double> xs;
  std::vector<double> ys;
  for (const ScatterPlot::Point& point : chart.points) {
    xs.push_back(point.x);
    ys.push_back(point.y);
  }
  Canvas canvas(purpose);
  const double width = chart.groups.size() <= 16 ? narrow : medium;
  const Range y_range = widened(finite_range(ys), 0.05);
  const Ticks y_ticks = round_ticks(y_range.low, y_range.high, 6);
  const double top = canvas.title(figure, width) + (chart.has_axes ? 24 : 4);
  Frame frame{chart.has_axes ? label_room(y_ticks) : 6, top,    width - 8, top + 0.72 * width,
              widened(finite_range(xs), 0.05),          y_range};
  double bottom = frame.bottom + 8;
  if (chart.has_axes) {
    draw_y_axis(canvas, frame, y_ticks, chart.y_title);
    draw_x_axis(canvas, frame, round_ticks(frame.x.low, frame.x.high, 6), chart.x_title);
    bottom += 36;
  } else {
    make_even(frame);
    canvas.rect(frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top, "frame",
                {});
  }
  for (const ScatterPlot::Point& point : chart.points) {
    if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
    const std::string& group = chart.groups[static_cast<std::size_t>(point.group)];
    std::string hover = clean(point.label, 120) + " (" + clean(group, 60) + ")";
    if (!point.text.empty()) hover += "\n" + clean(point.text, 160);
    draw_group(canvas, frame.x_of(point.x), frame.y_of(point.y), point.group, hover);
  }
  Legend legend;
  for (std::size_t g = 0; g < chart.groups.size(); ++g) {
    legend.add(chart.groups[g], draw_group_sample, static_cast<int>(g));
  }
  return canvas.finish(width, legend.draw(canvas, 6, bottom, width), figure);
}

}  // namespace moexray::report::svg_parts
