#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moexray/stats/signatures.h"

namespace moexray::app {

/// Reads a tab-separated file with the header `prompt_id`, `fold` and a row for every prompt, folds
/// numbered from 0.
/// @return [n] the fold of each prompt that has a signature. Rows of prompts that were left out of
/// the
///         signatures are checked and skipped.
/// @throws Error (data) with the line for whatever is wrong, and for prompts without a row.
std::vector<int> read_folds(const std::filesystem::path& path, const stats::Signatures& signatures);

}  // namespace moexray::app
