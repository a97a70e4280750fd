#pragma once

#include <string>
#include <vector>

#include "analysis.h"

namespace moexray::app {

/// report.html: what `analyze` found, on one page that needs neither network nor script. Sections
/// that were left out appear with their reason. It holds no times, host names or paths.
std::string html_report(const AnalysisInput& input, const std::vector<Section>& sections);

}  // namespace moexray::app
