#pragma once

#include <string>
#include <vector>

#include "analysis_input.h"
#include "section.h"
#include "site.h"

namespace moexray::app {

/// report.html: what `analyze` found, on a page that needs neither network nor script. Sections
/// that were left out appear with their reason. It holds no times, host names or paths.
std::string html_report(const AnalysisInput& input, const std::vector<Section>& sections,
                        const Site& site);

}  // namespace moexray::app
