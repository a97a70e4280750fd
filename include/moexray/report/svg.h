#pragma once

#include <cstddef>
#include <string>

#include "moexray/report/figure.h"

namespace moexray::report {

/// A heatmap with more cells than this (150 × 150) is too much for a page.
inline constexpr std::size_t max_svg_cells = 22'500;

/// A figure as an `<svg>` element for a page: without script, fonts or links of its own, scaled to
/// the width it is given, with the values behind every mark as `<title>` (browsers show them when
/// the pointer rests there) and all foreign text escaped. Colours and sizes come from svg_styles().
/// @throws Error (runtime) if the parts of the figure do not fit together.
std::string svg(const Figure& figure);

/// The same drawing as a file that stands alone, 8.5 cm wide or as much wider as it needs, on
/// white: its title on top, its caption as `<desc>`, every colour written out (programs that draw
/// SVG need know no style sheets). The largest type has 7.5 points, the smallest 6.
/// @throws Error as svg().
std::string svg_file(const Figure& figure);

/// The style sheet of svg(): colours that can be told apart with any kind of colour vision, in a
/// light and a dark scheme; paper is light.
std::string svg_styles();

}  // namespace moexray::report
