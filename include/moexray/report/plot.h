#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "moexray/report/figure.h"

namespace moexray::report {

/// The figure's numbers and names as tab-separated text: `NAME.tsv`, which plot_script() reads.
///
/// | chart       | columns                                            |
/// |-------------|----------------------------------------------------|
/// | Heatmap     | row, column, value, row_label, column_label        |
/// | BarChart    | index, value, error, label                         |
/// | LineChart   | x, value                                           |
/// | ScatterPlot | x, y, category_index, id, category                 |
///
/// Numbers come first and indices count from 0, so that no name can hide a number from a program
/// that knows quotes or comments; names are escaped as in Tsv. NaN is written as "nan".
/// @throws Error (runtime) if the sizes of a chart's parts do not belong together.
std::string plot_data(const Figure& figure);

/// A gnuplot script, `NAME.gp`, that reads `NAME.tsv` beside it and writes `NAME.svg`, `NAME.png`
/// and `NAME.pdf`, in the size of a printed page.
///
/// Foreign names appear in it between single quotes only, where gnuplot neither expands nor runs
/// anything, with control characters escaped, and are drawn without gnuplot's markup.
/// @throws Error (runtime) as plot_data(), or if the figure's name is no plain lower-case name.
std::string plot_script(const Figure& figure);

struct PlotOptions {
  std::chrono::seconds time_limit{120};     ///< for each figure; then gnuplot is killed
  const std::atomic<bool>* stop = nullptr;  ///< once true, drawing ends early
};

struct PlotFiles {
  std::vector<std::string> names;    ///< of what was written, in the order of the figures
  std::vector<std::string> notices;  ///< what could not be drawn, and why
};

/// Writes data and script of every figure into `directory` and has gnuplot draw them, if it is
/// installed. Without it, or where it fails, the data and scripts are there and a notice says so.
///
/// gnuplot runs without a shell, with an environment of its own and without the user's settings.
/// The same figures give the same bytes on the same system.
/// @throws Error (runtime) if a file cannot be written.
PlotFiles write_plots(const std::filesystem::path& directory, std::span<const Figure> figures,
                      const PlotOptions& options = {});

}  // namespace moexray::report
