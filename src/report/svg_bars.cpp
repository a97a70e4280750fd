#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "svg_axes.h"
#include "svg_parts.h"

namespace moexray::report::svg_parts {
namespace {

struct Interval {
  double low = NAN;
  double high = NAN;
  bool is_defined() const { return std::isfinite(low) && std::isfinite(high); }
};

// Bars that lie, so that names of any length have room beside them; the first on top.
class BarDrawing {
 public:
  BarDrawing(const BarChart& chart, const Figure& figure, Purpose purpose)
      : chart_(chart), figure_(figure), canvas_(purpose) {
    const std::size_t n = chart.values.size();
    labels_ = distinct_labels(chart.labels, 400, type_size);
    double widest = 0;
    for (const std::string& label : labels_) {
      widest = std::max(widest, text_width(label, type_size));
    }
    pitch_ = std::clamp(260.0 / static_cast<double>(std::max<std::size_t>(n, 1)), 17.0, 34.0);
    const double left = 12 + widest;
    width_ = std::max(narrow, left + 200 + numbers_room);
    const double top = canvas_.title(figure, width_) + 4;
    frame_ = {left, top, width_ - numbers_room, top + pitch_ * static_cast<double>(n), {}, {}};
    std::vector<double> ends{0};
    for (std::size_t i = 0; i < n; ++i) {
      ends.push_back(chart.values[i]);
      ends.push_back(interval(i).low);
      ends.push_back(interval(i).high);
    }
    for (const Reference& reference : chart.references) ends.push_back(reference.value);
    frame_.x = finite_range(ends);
    const double margin = 0.04 * (frame_.x.high - frame_.x.low);
    // What lies on one side of 0 leaves the other one empty.
    if (frame_.x.high > 0) frame_.x.high += margin;
    if (frame_.x.low < 0) frame_.x.low -= margin;
  }

  std::string draw() {
    draw_x_axis(canvas_, frame_, round_ticks(frame_.x.low, frame_.x.high, 5), chart_.value_title,
                true);
    for (std::size_t i = 0; i < chart_.values.size(); ++i) draw_bar(i);
    const double zero = frame_.x_of(0);
    canvas_.line(zero, frame_.top, zero, frame_.bottom, "axis");
    Legend legend;
    for (std::size_t i = 0; i < chart_.references.size(); ++i) {
      const Reference& reference = chart_.references[i];
      if (!std::isfinite(reference.value)) continue;
      const double x = frame_.x_of(reference.value);
      const int index = static_cast<int>(i);
      canvas_.line(x, frame_.top, x, frame_.bottom, reference_class(index));
      legend.add(fmt::format("{}: {}", reference.name, number_text(reference.value, 3)),
                 draw_reference_sample, index);
    }
    double y = frame_.bottom + (chart_.value_title.empty() ? 22 : 40);
    y = legend.draw(canvas_, 6, y, width_);
    if (has_error_bars() && !chart_.error_title.empty()) {
      y = canvas_.small_lines(6, y + 12, width_ - 12, "Error bars: " + chart_.error_title, 4) - 8;
    }
    return canvas_.finish(width_, y, figure_);
  }

 private:
  static constexpr double numbers_room = 52;  // right of the bars

  Interval interval(std::size_t i) const {
    if (!chart_.lows.empty()) return {chart_.lows[i], chart_.highs[i]};
    if (chart_.errors.empty()) return {};
    return {chart_.values[i] - chart_.errors[i], chart_.values[i] + chart_.errors[i]};
  }

  bool has_error_bar(std::size_t i) const {
    const Interval ends = interval(i);
    return ends.is_defined() && ends.low < ends.high;
  }

  // The standard deviation over a single pair, say, is none.
  bool has_error_bars() const {
    for (std::size_t i = 0; i < chart_.values.size(); ++i) {
      if (has_error_bar(i)) return true;
    }
    return false;
  }

  std::string hover(std::size_t i) const {
    std::string text = clean(chart_.labels[i], 120) + ": " + number_text(chart_.values[i], 4);
    const Interval ends = interval(i);
    if (!ends.is_defined()) return text;
    if (chart_.lows.empty()) {
      text += " ± " + number_text(chart_.errors[i], 4);
    } else {
      text += fmt::format(" ({} to {})", number_text(ends.low, 4), number_text(ends.high, 4));
    }
    if (!chart_.error_title.empty()) text += "\n" + clean(chart_.error_title, 120);
    return text;
  }

  void draw_bar(std::size_t i) {
    const double value = chart_.values[i];
    const double y = frame_.top + pitch_ * (static_cast<double>(i) + 0.5);
    const double half = pitch_ * 0.33;
    canvas_.text(frame_.left - 6, y + 4, "end", labels_[i]);
    if (std::isfinite(value)) {
      const double from = frame_.x_of(std::min(value, 0.0));
      canvas_.rect(from, y - half, frame_.x_of(std::max(value, 0.0)) - from, 2 * half, "bar",
                   hover(i));
    }
    if (has_error_bar(i)) {
      const Interval ends = interval(i);
      const std::string low = number(frame_.x_of(ends.low));
      const std::string high = number(frame_.x_of(ends.high));
      const double cap = std::min(half, 5.0);
      canvas_.path("error",
                   fmt::format("M{0} {2}H{1}M{0} {3}v{4}M{1} {3}v{4}", low, high, number(y),
                               number(y - cap), number(2 * cap)),
                   {});
    }
    canvas_.text(width_ - 4, y + 4, "end strong", number_text(value, 3));
  }

  const BarChart& chart_;
  const Figure& figure_;
  Canvas canvas_;
  std::vector<std::string> labels_;
  double width_ = narrow;
  double pitch_ = 0;
  Frame frame_;
};

}  // namespace

std::string draw(const BarChart& chart, const Figure& figure, Purpose purpose) {
  return BarDrawing(chart, figure, purpose).draw();
}

}  // namespace moexray::report::svg_parts
