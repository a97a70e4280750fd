#pragma once

#include "moexray/report/json.h"
#include "moexray/stats/inference.h"

namespace moexray::app {

/// The results of `stats` under their stable keys.
report::Json stats_json(const stats::InferenceResult& result,
                        const stats::ComparedPrompts& compared,
                        const stats::Signatures& signatures);

}  // namespace moexray::app
