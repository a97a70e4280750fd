#include "moexray/report/svg.h"

#include "svg_parts.h"

namespace moexray::report {
namespace {

std::string drawing(const Figure& figure, svg_parts::Purpose purpose) {
  svg_parts::check_parts(figure);
  return std::visit([&](const auto& chart) { return svg_parts::draw(chart, figure, purpose); },
                    figure.chart);
}

}  // namespace

std::string svg(const Figure& figure) { return drawing(figure, svg_parts::Purpose::page); }

std::string svg_file(const Figure& figure) { return drawing(figure, svg_parts::Purpose::file); }

}  // namespace moexray::report
