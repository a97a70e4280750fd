#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "analysis_input.h"
#include "section.h"

namespace moexray::app {

/// Lines that `analyze` prints at most, for terminals of at least 60 columns.
inline constexpr std::size_t max_summary_lines = 60;

/// What `analyze` prints: the main numbers in a few tables, whatever the number of categories and
/// layers, what the sections have to add, and the verdict. Long tables show their ends and name the
/// file with the rest; where even that is too long, the least important ones are left out.
std::string summary_text(const AnalysisInput& input, const std::vector<Section>& sections,
                         std::size_t width);

}  // namespace moexray::app
