#pragma once

#include <string>
#include <utility>
#include <vector>

#include "json_text.h"
#include "moexray/trace/manifest.h"

namespace moexray::trace {

/// Every key of a manifest with its value as JSON, in the order of the file. Nested keys have a
/// dot.
using ManifestEntries = std::vector<std::pair<std::string, Json>>;

ManifestEntries manifest_entries(const TraceManifest& manifest);

}  // namespace moexray::trace
