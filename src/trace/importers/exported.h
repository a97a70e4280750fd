#pragma once

#include <optional>
#include <string_view>

#include "importer.h"
#include "moexray/checkpoint/safetensors.h"
#include "npz.h"

namespace moexray::imports {

/// Members of an archive that `moexray export` wrote.
inline constexpr std::string_view exported_manifest = "manifest.json";
inline constexpr std::string_view exported_prompts = "prompts.jsonl";

/// Reads the archives of `moexray export`, which say everything that the events say.
/// @throws Error (data) for one that was damaged or changed.
void read_exported(const NpzFile& file, ImportSink& sink);
void read_exported(const SafetensorsFile& file, ImportSink& sink);
bool is_exported(const SafetensorsFile& file);

/// The type of integers of safetensors; nothing for another.
std::optional<Item> item_of_dtype(std::string_view dtype);

}  // namespace moexray::imports
