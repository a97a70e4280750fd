#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "moexray/report/figure.h"

namespace moexray::report::svg_parts {

// The kinds of charts, each a whole `<svg>` element. `label` names the figure for who cannot see
// it.
std::string heatmap(const Heatmap& chart, std::string_view label);
std::string bar_chart(const BarChart& chart, std::string_view label);
std::string line_chart(const LineChart& chart, std::string_view label);
std::string scatter_plot(const ScatterPlot& chart, std::string_view label);

/// @throws Error (runtime) unless a part of a chart has the size that the others ask for.
void check_size(std::string_view what, std::size_t found, std::size_t expected);

}  // namespace moexray::report::svg_parts
