#include "colour_scale.h"

#include <algorithm>
#include <cmath>

namespace moexray::report {
namespace {

bool is_drawn(double value, bool logarithmic) {
  return std::isfinite(value) && (!logarithmic || value > 0);
}

}  // namespace

ResolvedScale::ResolvedScale(const ColourScale& scale, const std::vector<double>& values)
    : scale_(scale), low_(scale.low), high_(scale.high) {
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

}  // namespace moexray::report
