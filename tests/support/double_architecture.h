#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "moexray/architecture/table.h"
#include "support/tiny_checkpoint.h"

namespace moexray::test {

/// A table with one made-up architecture, `DoubleForCausalLM`: what a new one needs is a file and a
/// row. It has everything of a spec that OLMoE does not: dense layers, heads of any width, norms of
/// single heads or none, rotary embeddings of a part of a head and another one in each layer, and
/// shared experts; and other names.
std::span<const Architecture> double_table();

/// A config.json of it: three layers, the first dense.
std::string double_config_json();

/// Writes a checkpoint of it with random weights.
void write_double_checkpoint(const std::filesystem::path& directory,
                             const TinyCheckpointOptions& options = {});

}  // namespace moexray::test
