#pragma once

#include <string>
#include <vector>

#include "svg_canvas.h"

namespace moexray::report::svg_parts {

/// Round values within [low, high], about `n_wanted` of them, and the decimals they need.
struct Ticks {
  std::vector<double> values;
  int n_decimals = 0;
};
Ticks round_ticks(double low, double high, int n_wanted);

/// The range of the finite ones among `values`, widened to more than a point; 0 … 1 if there are
/// none.
struct Range {
  double low = 0;
  double high = 1;
};
Range finite_range(const std::vector<double>& values);
Range widened(Range range, double share);

/// Where values lie on the drawing: `right` and `bottom` belong to the smallest y and largest x.
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

/// Room for the labels of the y axis, left of the frame.
double label_room(const Ticks& ticks);
/// Axis, grid and labels; the title stands above, from `title_y` on.
void draw_y_axis(Canvas& canvas, const Frame& frame, const Ticks& ticks, const std::string& title);
void draw_x_axis(Canvas& canvas, const Frame& frame, const Ticks& ticks, const std::string& title,
                 bool has_grid = false);

/// Names of what is drawn, in columns below it.
class Legend {
 public:
  struct Entry {
    std::string name;
    /// Draws the sample into [x, x + 20], its middle at y.
    void (*draw)(Canvas& canvas, double x, double y, int index);
    int index = 0;
  };
  void add(std::string name, void (*draw)(Canvas&, double, double, int), int index = 0) {
    entries_.push_back({std::move(name), draw, index});
  }
  /// @return where the drawing ends
  double draw(Canvas& canvas, double left, double y, double right) const;

 private:
  std::vector<Entry> entries_;
};

// Samples for legends.
void draw_reference_sample(Canvas& canvas, double x, double y, int index);
/// The class of the n-th reference line.
const char* reference_class(int index);

}  // namespace moexray::report::svg_parts
