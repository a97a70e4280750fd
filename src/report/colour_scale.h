#pragma once

#include <string>
#include <vector>

#include "colour_ramp.h"
#include "moexray/report/figure.h"
#include "svg_canvas.h"

namespace moexray::report {

/// A ColourScale whose ends are known.
class ResolvedScale {
 public:
  /// @param values of the heatmap, for ends that the scale leaves open
  ResolvedScale(const ColourScale& scale, const std::vector<double>& values);

  /// Where a value lies on the scale: 0 … 1. Values beyond the ends lie at them.
  double share_of(double value) const;
  Colour colour_of(double value) const { return colour_at(share_of(value)); }
  Colour colour_at(double share) const;

  /// Values to be written at the scale, both ends among them, and their texts: an end says so
  /// ("≥ 8") where values lie beyond it.
  struct Tick {
    double value;
    std::string text;
  };
  std::vector<Tick> ticks(int n_decimals) const;

  /// True if the ends are given, not those of the data.
  bool is_fixed() const { return is_fixed_; }

 private:
  ColourScale scale_;
  double low_;
  double high_;
  bool is_fixed_;
  bool has_below_ = false;  // values beyond the ends
  bool has_above_ = false;
};

/// Draws the colour bar of a heatmap at (x, y), at most `room` wide, with its title and ticks.
/// @return where it ends
double draw_colour_bar(svg_parts::Canvas& canvas, const Heatmap& map, const ResolvedScale& scale,
                       double x, double y, double room);

}  // namespace moexray::report
