#pragma once

#include <string>
#include <vector>

#include "analysis.h"

namespace moexray::app {

// Parts of report.html, each the HTML of a section.

/// The numbers to look at first, and the notices.
std::string headline_html(const AnalysisInput& input, const std::vector<Section>& sections);

/// Where the numbers come from: model, tokenizer, settings, versions and hashes.
std::string provenance_html(const AnalysisInput& input);

/// The definitions of what the page shows, with formulas.
std::string definitions_html(const AnalysisInput& input);

/// What the figures do not show.
std::string limits_html(const AnalysisInput& input);

}  // namespace moexray::app
