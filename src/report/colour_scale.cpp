#include "colour_scale.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "moexray/report/number.h"
#include "svg_axes.h"

namespace moexray::report {
namespace {

bool is_drawn(double value, bool logarithmic) {
  return std::isfinite(value) && (!logarithmic || value > 0);
}

// "8", "1/8".
std::string power_of_two(double exponent) {
  const std::string power = fixed(std::exp2(std::abs(exponent)), 0);
  return exponent < 0 ? "1/" + power : power;
}

}  // namespace

ResolvedScale::ResolvedScale(const ColourScale& scale, const std::vector<double>& values)
    : scale_(scale),
      low_(scale.low),
      high_(scale.high),
      is_fixed_(!std::isnan(scale.low) && !std::isnan(scale.high)) {
  const auto on_axis = [&](double value) { return scale.logarithmic ? std::log2(value) : value; };
  double low = INFINITY;
  double high = -INFINITY;
  for (const double value : values) {
    if (!is_drawn(value, scale.logarithmic)) continue;
    low = std::min(low, on_axis(value));
    high = std::max(high, on_axis(value));
  }
  if (low > high) low = 0, high = 1;
  if (scale.kind == ColourScale::Kind::diverging) {
    high = std::max(std::abs(low), std::abs(high));
    low = -high;
  }
  if (!(high - low > 1e-12 * std::max(std::abs(low), std::abs(high)))) {
    const double margin = std::max(0.5, 0.1 * std::abs(low));
    low -= margin;
    high += margin;
  }
  const auto value_of = [&](double axis) { return scale.logarithmic ? std::exp2(axis) : axis; };
  if (std::isnan(low_)) low_ = value_of(low);
  if (std::isnan(high_)) high_ = value_of(high);
  for (const double value : values) {
    has_below_ = has_below_ || (std::isfinite(value) && value < low_);
    has_above_ = has_above_ || (std::isfinite(value) && value > high_);
  }
}

double ResolvedScale::share_of(double value) const {
  if (scale_.logarithmic) {
    if (!(value > 0)) return 0;
    return std::clamp(std::log(value / low_) / std::log(high_ / low_), 0.0, 1.0);
  }
  return std::clamp((value - low_) / (high_ - low_), 0.0, 1.0);
}

Colour ResolvedScale::colour_at(double share) const {
  return scale_.kind == ColourScale::Kind::diverging ? blue_orange(share) : viridis(share);
}

std::vector<ResolvedScale::Tick> ResolvedScale::ticks(int n_decimals) const {
  using svg_parts::number_text;
  std::vector<Tick> ticks;
  if (scale_.logarithmic && std::log2(high_ / low_) <= 12) {
    for (double e = std::ceil(std::log2(low_) - 1e-9); e <= std::log2(high_) + 1e-9; ++e) {
      ticks.push_back({std::exp2(e), power_of_two(e)});
    }
  } else if (!scale_.logarithmic) {
    const svg_parts::Ticks round = svg_parts::round_ticks(low_, high_, 5);
    for (const double value : round.values) {
      ticks.push_back({value, number_text(value, round.n_decimals)});
    }
  }
  const double near = 1e-9 * std::abs(high_ - low_);
  if (ticks.size() < 2 || std::abs(ticks.front().value - low_) > near ||
      std::abs(ticks.back().value - high_) > near) {
    const double middle = scale_.logarithmic ? std::sqrt(low_ * high_) : (low_ + high_) / 2;
    ticks = {{low_, number_text(low_, n_decimals)},
             {middle, number_text(middle, n_decimals)},
             {high_, number_text(high_, n_decimals)}};
  }
  if (has_below_) ticks.front().text = "≤ " + ticks.front().text;
  if (has_above_) ticks.back().text = "≥ " + ticks.back().text;
  return ticks;
}

double draw_colour_bar(svg_parts::Canvas& canvas, const Heatmap& map, const ResolvedScale& scale,
                       double x, double y, double room) {
  using svg_parts::number;
  using svg_parts::small_size;
  const double width = std::min(room - 24, 260.0);
  std::string title = map.value_title;
  if (scale.is_fixed()) title += title.empty() ? "fixed scale" : " (fixed scale)";
  if (!title.empty()) {
    for (const std::string& line : svg_parts::wrapped(title, room, svg_parts::type_size, 2)) {
      canvas.text(x, y + 10, "", line);
      y += 14;
    }
    y += 2;
  }
  const Reference& reference = map.scale.reference;
  const bool has_reference = std::isfinite(reference.value);
  if (has_reference) {
    const double at = x + width * scale.share_of(reference.value);
    canvas.path("mark", fmt::format("M{} {}l-4 -7h8z", number(at), number(y + 8)), {});
    y += 9;
  }
  constexpr int n_steps = 64;
  const double step = width / n_steps;
  for (int i = 0; i < n_steps; ++i) {
    // A little wider, so that no gap shows between them.
    canvas.filled_rect(x + i * step, y, step + (i + 1 < n_steps ? 0.5 : 0), 10,
                       scale.colour_at((i + 0.5) / n_steps).hex(), {});
  }
  canvas.rect(x, y, width, 10, "frame", {});
  y += 10;
  for (const ResolvedScale::Tick& tick : scale.ticks(map.n_decimals)) {
    const double share = scale.share_of(tick.value);
    const double at = x + width * share;
    canvas.line(at, y, at, y + 3, "axis");
    // The first and the last one stay within the drawing.
    const double half = svg_parts::text_width(tick.text, small_size) / 2;
    canvas.text(std::max(at, x - 3 + half), y + 13, "mid small", tick.text);
  }
  y += 17;
  if (has_reference) {
    y = canvas.small_lines(x, y + 9, room,
                           fmt::format("▼ {}: {}", reference.name,
                                       svg_parts::number_text(reference.value, map.n_decimals + 1)),
                           2);
    y -= 8;
  }
  const bool has_empty = std::any_of(map.values.begin(), map.values.end(),
                                     [](double value) { return !std::isfinite(value); });
  if (has_empty) {
    canvas.rect(x, y + 2, 12, 10, "none", {});
    y = canvas.small_lines(x + 17, y + 11, room - 17, map.empty_title, 2) - 10;
  }
  return y;
}

}  // namespace moexray::report
