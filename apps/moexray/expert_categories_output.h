#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "moexray/report/document.h"
#include "moexray/report/figure.h"
#include "moexray/report/json.h"
#include "moexray/stats/expert_categories.h"

namespace moexray::app {

/// What was found in one sentence: "no expert differs …", "cannot tell: lengths: …".
std::string summary_of(const stats::ExpertCategoriesResult& result);

/// The experts that describe() names of a category, most different first: indices into `cells`.
std::vector<std::size_t> named_cells(const stats::ExpertCategoriesResult& result,
                                     std::size_t category);

/// Adds the summary and the experts that each category uses most beyond the others.
void describe(const stats::ExpertCategoriesResult& result, report::Document& document);

/// Adds `outcome`, `common_positions`, `cells` and what belongs to them.
void add_json(const stats::ExpertCategoriesResult& result, report::Json& json);

/// A row for every expert and category.
std::string tsv_of(const stats::ExpertCategoriesResult& result);

/// Of tested experts: log₂ ratios of the experts that are listed as different; how many these are
/// where there are too many experts for a figure.
report::Figure figure_of(const stats::ExpertCategoriesResult& result);

}  // namespace moexray::app
