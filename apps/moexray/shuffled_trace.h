#pragma once

#include <filesystem>

#include "analysis.h"
#include "moexray/stats/matrix.h"

namespace moexray::app {

/// Lets the model run the traced prompts again with their tokens in a random order: those of the
/// messages change places among each other, those of the template stay. Nothing is generated. The
/// order depends on the seed and the prompt's id alone.
/// @return [rows of the signatures, L·E] signatures of the prompts' selected tokens
/// @throws Error (data) if the trace has no token ids, or comes from another model; what loading
/// and
///         running a model throws; Error (interrupted).
stats::Matrix shuffled_signatures(const AnalysisInput& input,
                                  const std::filesystem::path& model_directory);

}  // namespace moexray::app
