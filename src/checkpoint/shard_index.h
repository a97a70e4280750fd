#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace moexray {

/// Which shard holds which tensor: tensor name → plain file name.
using ShardIndex = std::map<std::string, std::string, std::less<>>;

/// Reads `model.safetensors.index.json`.
/// @throws Error (data) if it is malformed or names a file outside its directory.
ShardIndex read_shard_index(const std::filesystem::path& path);

}  // namespace moexray
