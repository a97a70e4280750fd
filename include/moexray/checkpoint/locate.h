#pragma once

#include <filesystem>
#include <string>

namespace moexray {

/// The directory of the checkpoint that a user names: the directory itself, or of a model's folder
/// in a Hugging Face cache (`models--ORG--NAME`) the snapshot that its `refs/main` names, or its
/// only one.
/// @throws Error (data) if there is no such directory, or none with a checkpoint. The message says
/// what to do where `given` is the name of a model on the Hugging Face hub or its address, a file
/// of a checkpoint, a GGUF file, or a folder that holds several models or snapshots.
std::filesystem::path find_checkpoint(const std::filesystem::path& given);

/// What a checkpoint is called: "ORG/NAME" for a snapshot in a Hugging Face cache (whose directory
/// has a hash for a name), else the directory's name without its path.
std::string checkpoint_name(const std::filesystem::path& directory);

/// Why a checkpoint directory has no weights that can be read, as far as its files tell: pickled
/// or GGUF weights, shards without their index, links that lead nowhere. Empty: they tell nothing.
std::string why_no_weights(const std::filesystem::path& directory);

}  // namespace moexray
