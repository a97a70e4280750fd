#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moexray/trace/manifest.h"

namespace moexray::trace {

/// Checks that traces can be read as one: they come from the same model with the same tokenizer,
/// type of computation and generation settings. What one of them has not recorded is not compared.
/// @returns what differs and is to be told: what computed, which decides the last digits.
/// @throws Error (data) naming the key and both directories.
std::vector<std::string> check_agreement(std::span<const TraceManifest> manifests,
                                         std::span<const std::filesystem::path> directories);

}  // namespace moexray::trace
