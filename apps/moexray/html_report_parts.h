#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "analysis.h"
#include "moexray/report/number.h"
#include "site.h"

namespace moexray::app {

// Parts of report.html, each the HTML of a section; empty where there is nothing to say.

/// The numbers to look at first, the others to open, what was left out, and the notices.
std::string headline_html(const AnalysisInput& input, const std::vector<Section>& sections,
                          const Results& results);

/// How well a classifier tells the categories apart, and the prompts that it gets wrong.
std::string classification_html(const AnalysisInput& input, const Results& results,
                                const Site& site);

/// The list of all prompts.
std::string prompts_html(const AnalysisInput& input, const Results& results, const Site& site);

/// Where the numbers come from: model, tokenizer, settings, versions and hashes.
std::string provenance_html(const AnalysisInput& input);

/// The definitions of what the page shows, with formulas.
std::string definitions_html(const AnalysisInput& input);

/// What the figures do not show.
std::string limits_html(const AnalysisInput& input);

/// "0.843 ± 0.088", without the spread where it is undefined.
inline std::string with_spread(double mean, double std, int n_decimals) {
  return report::fixed(mean, n_decimals) +
         (std::isfinite(std) ? " ± " + report::fixed(std, n_decimals) : "");
}

}  // namespace moexray::app
