#pragma once

#include <string>

#include "moexray/report/document.h"
#include "moexray/report/json.h"
#include "moexray/stats/compared_prompts.h"
#include "moexray/stats/crossed.h"

namespace moexray::app {

/// `crossed` of `stats`.
/// @param key "meta.topic": what categories are crossed with
report::Json crossed_json(const stats::CrossedTests& crossed, const std::string& key,
                          const stats::ComparedPrompts& compared);

/// Adds the table of the two-way analysis, or why there is none.
/// @param group_key "meta.wording": the units
void describe_crossed(const stats::CrossedTests& crossed, const std::string& key,
                      const std::string& group_key, const stats::ComparedPrompts& compared,
                      report::Document& document);

}  // namespace moexray::app
