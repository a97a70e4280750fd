#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "moexray/report/figure.h"

namespace moexray::report {

/// The figure's numbers and names as tab-separated text, to draw it otherwise: `NAME.tsv`.
///
/// | chart        | columns                                                                |
/// |--------------|------------------------------------------------------------------------|
/// | Heatmap      | row_key, column_key, value_key                                         |
/// | BarChart     | label_key, value_key, then error_key or ci95_low, ci95_high            |
/// | LineChart    | x_key, value_key, ci95_low, ci95_high, null95                          |
/// | ScatterPlot  | id, category, x_key, y_key                                             |
/// | Distribution | series_key, value_key + "_from", value_key + "_to", share              |
///
/// Names are escaped as in Tsv. NaN is written as "nan".
/// @throws Error (runtime) if the sizes of a chart's parts do not belong together.
std::string plot_data(const Figure& figure);

struct PlotOptions {
  std::chrono::seconds time_limit{120};     ///< for each program run, which is then killed
  const std::atomic<bool>* stop = nullptr;  ///< once true, drawing ends early
};

struct PlotFiles {
  std::vector<std::string> names;    ///< of what was written, in the order of the figures
  std::vector<std::string> notices;  ///< what could not be drawn, and why
};

/// Writes every figure into `directory`: `NAME.tsv`, `NAME.svg` and, if `rsvg-convert` is
/// installed, `NAME.png` (300 dots an inch) and `NAME.pdf` (fonts embedded). One notice says that
/// it is not, one which characters no installed font has (`fc-list` tells).
///
/// The programs run without a shell, in an environment of their own: the same figures give the same
/// bytes on the same system.
/// @throws Error (runtime) if a file cannot be written, or a figure's name is no plain lower-case
/// name.
PlotFiles write_plots(const std::filesystem::path& directory, std::span<const Figure> figures,
                      const PlotOptions& options = {});

}  // namespace moexray::report
