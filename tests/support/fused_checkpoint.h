#pragma once

#include <filesystem>
#include <span>

#include "moexray/architecture/table.h"

namespace moexray::test {

/// Writes a checkpoint anew with fused experts, as transformers 5 saves them with
/// `save_original_format=False`: config.json and generation_config.json as they are, the weights in
/// one file. Makes the directory if it is not there.
void write_fused_checkpoint(const std::filesystem::path& from, const std::filesystem::path& to,
                            std::span<const Architecture> table = architectures());

}  // namespace moexray::test
