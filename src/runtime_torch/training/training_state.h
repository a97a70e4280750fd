#pragma once

#include <filesystem>
#include <string>

#include "adamw.h"
#include "parameters.h"

namespace moexray::torch_runtime {

/// Saves parameters, moments and step as safetensors, renamed into place. `fingerprint` says what
/// run they belong to.
void save_training_state(const std::filesystem::path& path, const Parameters& parameters,
                         const AdamW& optimiser, std::int64_t step, const std::string& fingerprint);

/// Loads what save_training_state wrote and returns the step.
/// @throws Error (data) if the file is damaged, of another size, or its fingerprint differs; an
/// empty `fingerprint` accepts any.
std::int64_t load_training_state(const std::filesystem::path& path, Parameters& parameters,
                                 AdamW& optimiser, const std::string& fingerprint);

}  // namespace moexray::torch_runtime
