#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "svg_axes.h"
#include "svg_parts.h"

namespace moexray::report::svg_parts {
namespace {

// Lines of several dashes tell the kinds apart without colours.
std::string line_classes(int series) {
  constexpr std::array<const char*, 3> dashes{"", " dashed", " dotted"};
  return fmt::format("s{}{}", series % 8, dashes[static_cast<std::size_t>(series) % dashes.size()]);
}

void draw_series_sample(Canvas& canvas, double x, double y, int series) {
  canvas.rect(x, y - 5, 20, 10, fmt::format("pale g{}", series % 8), {});
  canvas.line(x, y, x + 20, y, line_classes(series));
}

// The outline of the bars of a histogram, without the sides between them.
std::string outline(const Frame& frame, const Distribution& chart,
                    const Distribution::Series& series) {
  const double bin = (chart.high - chart.low) / static_cast<double>(series.shares.size());
  std::string path = fmt::format("M{} {}", number(frame.x_of(chart.low)), number(frame.y_of(0)));
  for (std::size_t i = 0; i < series.shares.size(); ++i) {
    path += fmt::format("V{}H{}", number(frame.y_of(series.shares[i])),
                        number(frame.x_of(chart.low + bin * static_cast<double>(i + 1))));
  }
  return path + "V" + number(frame.y_of(0));
}

// What all kinds have in a bin.
void draw_hovers(Canvas& canvas, const Frame& frame, const Distribution& chart) {
  const std::size_t n_bins = chart.n_bins();
  const double width = (frame.right - frame.left) / static_cast<double>(n_bins);
  const double bin = (chart.high - chart.low) / static_cast<double>(n_bins);
  for (std::size_t i = 0; i < n_bins; ++i) {
    const double from = chart.low + bin * static_cast<double>(i);
    std::string text =
        fmt::format("{} {} to {}", chart.value_title.empty() ? "value" : chart.value_title,
                    number_text(from, 4), number_text(from + bin, 4));
    for (const Distribution::Series& series : chart.series) {
      if (series.shares.empty()) continue;
      text +=
          fmt::format("\n{}: {}%", clean(series.name, 120), number_text(100 * series.shares[i], 1));
    }
    canvas.rect(frame.left + width * static_cast<double>(i), frame.top, width,
                frame.bottom - frame.top, "unseen", text);
  }
}

}  // namespace

std::string draw(const Distribution& chart, const Figure& figure, Purpose purpose) {
  Canvas canvas(purpose);
  std::vector<double> heights{0};
  for (const Distribution::Series& series : chart.series) {
    heights.insert(heights.end(), series.shares.begin(), series.shares.end());
  }
  Range range = finite_range(heights);
  range = {0, range.high + 0.06 * range.high};
  const Ticks ticks = round_ticks(range.low, range.high, 5);
  const double top = canvas.title(figure, narrow) + 24;
  const Frame frame{label_room(ticks), top, narrow - 16, top + 190, {chart.low, chart.high}, range};
  draw_y_axis(canvas, frame, ticks, chart.share_title);
  draw_x_axis(canvas, frame, round_ticks(chart.low, chart.high, 6), chart.value_title);
  Legend legend;
  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    const Distribution::Series& series = chart.series[s];
    if (series.shares.empty()) continue;
    const int index = static_cast<int>(s);
    canvas.path(fmt::format("pale g{}", index % 8), outline(frame, chart, series) + "z", {});
    canvas.path(line_classes(index), outline(frame, chart, series), {});
    legend.add(series.name, draw_series_sample, index);
  }
  for (std::size_t i = 0; i < chart.references.size(); ++i) {
    const Reference& reference = chart.references[i];
    if (!(reference.value >= chart.low && reference.value <= chart.high)) continue;
    const int index = static_cast<int>(i);
    const double x = frame.x_of(reference.value);
    canvas.line(x, frame.top, x, frame.bottom, reference_class(index));
    legend.add(fmt::format("{}: {}", reference.name, number_text(reference.value, 3)),
               draw_reference_sample, index);
  }
  if (purpose == Purpose::page) draw_hovers(canvas, frame, chart);
  const double bottom = frame.bottom + (chart.value_title.empty() ? 24 : 42);
  return canvas.finish(narrow, legend.draw(canvas, 6, bottom, narrow), figure);
}

}  // namespace moexray::report::svg_parts
