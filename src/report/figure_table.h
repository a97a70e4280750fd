#pragma once

#include <cstddef>
#include <string>

#include "moexray/report/figure.h"

namespace moexray::report {

/// More rows than this are left to the figure's data file.
inline constexpr std::size_t max_figure_table_rows = 2000;

/// The values of a figure as a table to read, for who cannot see marks or rest a pointer on them;
/// empty for a heatmap that is too large for a page. Of more than max_figure_table_rows rows the
/// first ones.
std::string figure_table(const Figure& figure);

}  // namespace moexray::report
