#pragma once

#include <string>

#include "moexray/architecture/config_reader.h"

namespace moexray {

/// Why no architecture of the table computes a model, as far as its config tells: what is missing
/// in moexray, in words that follow "not implemented: ". Empty where nothing is known of it.
std::string why_unsupported(const ConfigReader& config);

/// Throws Error (data) for weights that are quantised, and says where others are to be had.
void refuse_quantised(const ConfigReader& config);

}  // namespace moexray
