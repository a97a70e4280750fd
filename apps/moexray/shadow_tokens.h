#pragma once

#include <cstddef>

#include "analysis_input.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/trace/shadows.h"

namespace moexray::app {

/// Whether routers watched beside the trace (trace --shadow).
bool has_shadows(const TraceSet& traces);

/// The tokens of a side, which has them, with the experts that a shadow chose.
/// @throws Error (data) where the shadows have fewer tokens than their trace
stats::RoutedTokens routed_by(const Side& side, const ShadowReader& reader, std::size_t shadow);

}  // namespace moexray::app
