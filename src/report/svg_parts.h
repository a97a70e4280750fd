#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "moexray/report/figure.h"
#include "svg_canvas.h"

namespace moexray::report::svg_parts {

// The kinds of charts, each a whole `<svg>` element.
std::string draw(const Heatmap& chart, const Figure& figure, Purpose purpose);
std::string draw(const BarChart& chart, const Figure& figure, Purpose purpose);
std::string draw(const LineChart& chart, const Figure& figure, Purpose purpose);
std::string draw(const ScatterPlot& chart, const Figure& figure, Purpose purpose);
std::string draw(const Distribution& chart, const Figure& figure, Purpose purpose);

/// @throws Error (runtime) unless the parts of the chart have the sizes that they ask for of each
/// other.
void check_parts(const Figure& figure);

/// A disc around (x, y), as a path.
std::string disc(double x, double y, double radius);

}  // namespace moexray::report::svg_parts
