#pragma once

#include <string>

#include "moexray/report/document.h"
#include "moexray/report/figure.h"
#include "moexray/report/json.h"
#include "moexray/stats/load.h"

namespace moexray::app {

// What `load` shows.

report::Json json_of(const stats::LoadResult& result, const stats::LoadOptions& options);
report::Document document_of(const stats::LoadResult& result, const stats::LoadOptions& options);
std::string tsv_of(const stats::LoadResult& result);
report::Figure figure_of(const stats::LoadResult& result);

/// "80 prompts"; none: "one pool of counts".
std::string units_text(const stats::LoadResult& result);

/// Mean over layers.
double mean_load_cv(const stats::LoadResult& result);

/// "; uniform routing alone gives 0.05; clusters alone give 0.11", as far as they are known.
std::string chance_text(const stats::LoadResult& result);

}  // namespace moexray::app
