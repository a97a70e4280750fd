#include "moexray/report/svg.h"

#include "moexray/core/error.h"
#include "svg_parts.h"

namespace moexray::report {
namespace svg_parts {

void check_size(std::string_view what, std::size_t found, std::size_t expected) {
  if (found == expected) return;
  throw Error(ErrorKind::runtime, {"a figure whose parts do not fit", std::string(what),
                                   std::to_string(expected), std::to_string(found)});
}

}  // namespace svg_parts

namespace {

struct Drawer {
  const std::string& label;

  std::string operator()(const Heatmap& chart) const { return svg_parts::heatmap(chart, label); }
  std::string operator()(const BarChart& chart) const { return svg_parts::bar_chart(chart, label); }
  std::string operator()(const LineChart& chart) const {
    return svg_parts::line_chart(chart, label);
  }
  std::string operator()(const ScatterPlot& chart) const {
    return svg_parts::scatter_plot(chart, label);
  }
};

}  // namespace

std::string svg(const Figure& figure) { return std::visit(Drawer{figure.title}, figure.chart); }

// The groups' colours are those of Okabe and Ito (2008), yellow and black last; on a dark ground
// the blue, green and black ones are lighter.
std::string_view svg_styles() {
  return R"(.chart {
  --g0: #0072b2; --g1: #d55e00; --g2: #009e73; --g3: #cc79a7;
  --g4: #56b4e9; --g5: #e69f00; --g6: #222222; --g7: #d9c400;
  --axis: #555555; --grid: #dddddd; --none: #e8e8e8; --edge: #ffffff;
  display: block; width: 100%; max-width: 44rem; min-width: 18rem; height: auto; margin: 0 auto;
}
@media screen and (prefers-color-scheme: dark) {
  .chart {
    --g0: #4ea6e0; --g1: #ee7b2e; --g2: #20c297; --g3: #dc94bd;
    --g4: #8fd0f5; --g5: #f0b73a; --g6: #d8d8d8; --g7: #f0e442;
    --axis: #aaaaaa; --grid: #3a3d42; --none: #34373c; --edge: #16181c;
  }
}
.chart rect { shape-rendering: crispEdges; }
.chart text { font: 12px system-ui, sans-serif; fill: currentColor; }
.chart .mid { text-anchor: middle; }
.chart .end { text-anchor: end; }
.chart .strong { font-weight: 600; }
.chart .on-dark { fill: #ffffff; pointer-events: none; }
.chart .on-light { fill: #111111; pointer-events: none; }
.chart .axis { stroke: var(--axis); stroke-width: 1; }
.chart .grid { stroke: var(--grid); stroke-width: 1; }
.chart .split { stroke: var(--edge); stroke-width: 1.5; pointer-events: none; }
.chart .error { stroke: currentColor; stroke-width: 1.5; fill: none; }
.chart .trend { stroke: var(--g0); stroke-width: 2; fill: none; }
.chart .bar { fill: var(--g4); stroke: var(--axis); stroke-width: .5; }
.chart .none { fill: var(--none); }
.chart .point { stroke: var(--edge); stroke-width: .6; }
.chart rect:hover, .chart .point:hover { stroke: currentColor; stroke-width: 1.5; }
.chart .g0 { fill: var(--g0); }
.chart .g1 { fill: var(--g1); }
.chart .g2 { fill: var(--g2); }
.chart .g3 { fill: var(--g3); }
.chart .g4 { fill: var(--g4); }
.chart .g5 { fill: var(--g5); }
.chart .g6 { fill: var(--g6); }
.chart .g7 { fill: var(--g7); }
)";
}

}  // namespace moexray::report
