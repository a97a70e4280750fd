#pragma once

#include <string>
#include <vector>

#include "moexray/report/figure.h"

namespace moexray::test {

/// Names that mean something to a shell, a plotting program, XML or a terminal. Where one of them
/// runs, it makes a file whose name starts with "pwned".
std::vector<std::string> hostile_names();

/// A figure of every kind of chart with these names in every place that takes one.
std::vector<report::Figure> figures_named(const std::vector<std::string>& names);

/// Figures whose data are missing, single or constant.
std::vector<report::Figure> figures_of_little_data();

}  // namespace moexray::test
