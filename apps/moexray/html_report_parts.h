#pragma once

#include <string>
#include <vector>

#include "analysis_input.h"
#include "section.h"
#include "site.h"

namespace moexray::app {

// Parts of report.html, each the HTML of a section; empty where there is nothing to say.

/// The numbers to look at first, the others to open, what was left out, and the notices.
std::string headline_html(const AnalysisInput& input, const std::vector<Section>& sections,
                          const Results& results);

/// Of `experts`: the load, which experts the categories use, and links to their pages.
std::string experts_html(const Section& section, const AnalysisInput& input, const Site& site);

/// Of `classify`: how well a classifier tells the categories apart, and the prompts that it gets
/// wrong.
std::string classification_html(const Section& section, const AnalysisInput& input,
                                const Site& site);

/// The list of all prompts.
std::string prompts_html(const AnalysisInput& input, const Results& results, const Site& site);

/// Where the numbers come from: model, tokenizer, settings, versions and hashes.
std::string provenance_html(const AnalysisInput& input);

/// The definitions of what the page shows, with formulas.
std::string definitions_html(const AnalysisInput& input);

/// What the figures do not show.
std::string limits_html(const AnalysisInput& input);

}  // namespace moexray::app
