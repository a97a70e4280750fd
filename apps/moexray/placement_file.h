#pragma once

#include <filesystem>

#include "moexray/core/routing.h"
#include "moexray/stats/load_metrics.h"

namespace moexray::app {

/// Reads which experts a deployment has in which slots: a JSON object whose
/// "physical_to_logical_map" has for each layer of the trace (or one list for all of them) the
/// expert in each of the P slots, those of the first of the G devices first, as load balancers of
/// vLLM and SGLang have it. P is a multiple of G, and every expert has a slot.
/// @throws Error (data) naming file and place.
stats::ExpertPlacement read_placement_file(const std::filesystem::path& path,
                                           const RoutingShape& shape, int n_devices);

}  // namespace moexray::app
