#pragma once

#include <filesystem>
#include <memory>

#include "console.h"
#include "moexray/text/tokenizer.h"

namespace moexray::app {

/// Opens the tokenizer of a checkpoint, and tells the user what should be known of it.
std::unique_ptr<Tokenizer> open_tokenizer_of(const std::filesystem::path& model_directory,
                                             Console& console);

}  // namespace moexray::app
