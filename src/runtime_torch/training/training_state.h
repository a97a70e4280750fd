#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "adamw.h"
#include "parameters.h"

namespace moexray::torch_runtime {

/// What a training run is: its config, its data and every setting that decides what the parameters
/// become.
using RunDescription = nlohmann::ordered_json;

/// Saves parameters, moments, step and description as safetensors, renamed into place.
void save_training_state(const std::filesystem::path& path, const Parameters& parameters,
                         const AdamW& optimiser, std::int64_t step, const RunDescription& run);

/// Loads what save_training_state wrote and returns the step.
/// @param expected keys that the state's description must have with these values.
/// @throws Error (data) if the file is damaged or of another size, or names the first key that
/// differs.
std::int64_t load_training_state(const std::filesystem::path& path, Parameters& parameters,
                                 AdamW& optimiser, const RunDescription& expected);

}  // namespace moexray::torch_runtime
