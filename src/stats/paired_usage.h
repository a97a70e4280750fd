#pragma once

#include "moexray/stats/signatures.h"
#include "moexray/stats/usage_shift.h"

namespace moexray::stats {

/// The categories of the prompts, which must all have one.
CategoryIndex categories_of(const PairedUsage& usage);

bool all_have_categories(const PairedUsage& usage);

}  // namespace moexray::stats
