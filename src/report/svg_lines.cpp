#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "svg_axes.h"
#include "svg_parts.h"

namespace moexray::report::svg_parts {
namespace {

void draw_line_sample(Canvas& canvas, double x, double y, int) {
  canvas.line(x, y, x + 20, y, "trend");
  canvas.path("point g0", disc(x + 10, y, 3.6), {});
}

void draw_tested_sample(Canvas& canvas, double x, double y, int) {
  canvas.line(x, y, x + 20, y, "tested");
}

void draw_interval_sample(Canvas& canvas, double x, double y, int) {
  canvas.path("error",
              fmt::format("M{0} {1}v12M{2} {1}h6M{2} {3}h6", number(x + 10), number(y - 6),
                          number(x + 7), number(y + 6)),
              {});
}

void draw_band_sample(Canvas& canvas, double x, double y, int) {
  canvas.rect(x, y - 5, 20, 10, "band", {});
  canvas.line(x, y - 5, x + 20, y - 5, "reference2");
}

void draw_ring_sample(Canvas& canvas, double x, double y, int) {
  canvas.path("ring", disc(x + 10, y, 6.5), {});
}

// A value for each of 0, 1, 2, …, from 0 on.
class LineDrawing {
 public:
  LineDrawing(const LineChart& chart, const Figure& figure, Purpose purpose)
      : chart_(chart), figure_(figure), canvas_(purpose), n_(chart.values.size()) {
    std::vector<double> values = chart.values;
    has_value_ =
        std::any_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
    values.insert(values.end(), chart.lows.begin(), chart.lows.end());
    values.insert(values.end(), chart.highs.begin(), chart.highs.end());
    values.insert(values.end(), chart.tested.begin(), chart.tested.end());
    if (has_value_) values.push_back(0);  // effect sizes mean something as distances from 0
    if (std::isfinite(chart.null_limit)) values.push_back(chart.null_limit);
    Range range = finite_range(values);
    const double margin = 0.06 * (range.high - range.low);
    range.high += margin;
    if (range.low < 0) range.low -= margin;
    ticks_ = round_ticks(range.low, range.high, 6);
    width_ = n_ <= 40 ? narrow : medium;
    const double top = canvas_.title(figure, width_) + 24;
    frame_ = {label_room(ticks_),
              top,
              width_ - 8,
              top + 190,
              {-0.6, static_cast<double>(std::max<std::size_t>(n_, 1)) - 0.4},
              range};
  }

  std::string draw() {
    draw_band();
    draw_y_axis(canvas_, frame_, ticks_, chart_.value_title);
    draw_x_axis(canvas_, frame_, whole_ticks(), chart_.x_title);
    if (frame_.y.low < 0) {
      canvas_.line(frame_.left, frame_.y_of(0), frame_.right, frame_.y_of(0), "axis");
    }
    if (!chart_.tested.empty()) canvas_.path("tested", trend_path(chart_.tested), {});
    canvas_.path("trend", trend_path(chart_.values), {});
    for (std::size_t i = 0; i < n_; ++i) draw_value(i);
    if (!has_value_) {
      canvas_.text((frame_.left + frame_.right) / 2, frame_.top + 90, "mid", "no value is defined");
    }
    const double bottom = frame_.bottom + (chart_.x_title.empty() ? 24 : 42);
    return canvas_.finish(width_, draw_legend(bottom), figure_);
  }

 private:
  bool has_band() const { return std::isfinite(chart_.null_limit); }
  bool is_marked(std::size_t i) const { return static_cast<int>(i) == chart_.marked; }

  void draw_band() {
    if (!has_band()) return;
    const double high = frame_.y_of(chart_.null_limit);
    const double low = frame_.y_of(std::max(-chart_.null_limit, frame_.y.low));
    canvas_.rect(frame_.left, high, frame_.right - frame_.left, low - high, "band", {});
    canvas_.line(frame_.left, high, frame_.right, high, "reference2");
    if (-chart_.null_limit > frame_.y.low) {
      canvas_.line(frame_.left, low, frame_.right, low, "reference2");
    }
  }

  Ticks whole_ticks() const {
    Ticks ticks = round_ticks(0, static_cast<double>(std::max<std::size_t>(n_, 2)) - 1,
                              width_ > narrow ? 20 : 16);
    std::erase_if(ticks.values, [&](double tick) {
      return tick != std::round(tick) || tick >= static_cast<double>(n_);
    });
    ticks.n_decimals = 0;
    return ticks;
  }

  // The polyline through defined values, broken where there is none.
  std::string trend_path(const std::vector<double>& values) const {
    std::string path;
    bool is_open = false;
    for (std::size_t i = 0; i < n_; ++i) {
      if (!std::isfinite(values[i])) {
        is_open = false;
        continue;
      }
      path +=
          fmt::format("{}{} {}", is_open ? "L" : "M", number(frame_.x_of(static_cast<double>(i))),
                      number(frame_.y_of(values[i])));
      is_open = true;
    }
    return path;
  }

  std::string hover(std::size_t i) const {
    std::string text =
        fmt::format("{} {}\n{}: {}", chart_.x_title.empty() ? "at" : clean(chart_.x_title, 60), i,
                    chart_.value_title.empty() ? "value" : clean(chart_.value_title, 60),
                    number_text(chart_.values[i], 4));
    if (!chart_.lows.empty() && std::isfinite(chart_.lows[i])) {
      text += fmt::format(" ({} to {})", number_text(chart_.lows[i], 4),
                          number_text(chart_.highs[i], 4));
    }
    if (is_marked(i) && !chart_.mark_label.empty()) text += "\n" + clean(chart_.mark_label, 120);
    return text;
  }

  void draw_value(std::size_t i) {
    const double value = chart_.values[i];
    if (!std::isfinite(value)) return;
    const double x = frame_.x_of(static_cast<double>(i));
    if (!chart_.lows.empty() && std::isfinite(chart_.lows[i]) && std::isfinite(chart_.highs[i])) {
      const double cap = n_ <= 40 ? 3 : 2;
      canvas_.path(
          "error",
          fmt::format("M{0} {1}V{2}M{3} {1}h{4}M{3} {2}h{4}", number(x),
                      number(frame_.y_of(chart_.lows[i])), number(frame_.y_of(chart_.highs[i])),
                      number(x - cap), number(2 * cap)),
          {});
    }
    canvas_.path("point g0", disc(x, frame_.y_of(value), n_ <= 40 ? 3.6 : 2.8), hover(i));
    if (is_marked(i)) canvas_.path("ring", disc(x, frame_.y_of(value), 6.5), {});
  }

  double draw_legend(double y) {
    Legend legend;
    const bool has_intervals = std::any_of(chart_.lows.begin(), chart_.lows.end(),
                                           [](double v) { return std::isfinite(v); });
    const bool has_tested = !chart_.tested.empty();
    if (has_intervals || has_tested || has_band()) {
      legend.add(chart_.value_title, draw_line_sample);
    }
    if (has_intervals) legend.add(chart_.interval_title, draw_interval_sample);
    if (has_tested) legend.add(chart_.tested_title, draw_tested_sample);
    if (has_band()) legend.add(chart_.null_title, draw_band_sample);
    if (chart_.marked >= 0 && !chart_.mark_label.empty()) {
      legend.add(chart_.mark_label, draw_ring_sample);
    }
    return legend.draw(canvas_, 6, y, width_);
  }

  const LineChart& chart_;
  const Figure& figure_;
  Canvas canvas_;
  std::size_t n_;
  bool has_value_ = false;
  double width_ = narrow;
  Ticks ticks_;
  Frame frame_;
};

}  // namespace

std::string draw(const LineChart& chart, const Figure& figure, Purpose purpose) {
  return LineDrawing(chart, figure, purpose).draw();
}

}  // namespace moexray::report::svg_parts
