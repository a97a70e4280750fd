#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moexray::imports {

/// What is known of the model beside the files: from its config.json, or from flags.
struct ModelLayers {
  int n_layers = 0;                  ///< all transformer layers; 0: not known
  std::vector<int> moe_layers = {};  ///< those with experts, ascending; empty: not known
  int n_experts = 0;                 ///< 0: not known
  int top_k = 0;                     ///< 0: not known
  std::string name = {};             ///< "model_type" of the config
  std::string config_sha256 = {};    ///< empty: no config was given
};

/// Reads from the text of a config.json which layers have experts, how many, and how many a token
/// takes, under the names that model families give them; where a config describes several models
/// (text, vision), of the text model.
/// @throws Error (data) that names the key for a config that cannot be interpreted fully: no number
/// of layers, experts or experts per token, or a pattern of layers that is not known.
ModelLayers parse_model_layers(std::string_view text, const std::string& where);

/// The same of a file.
ModelLayers read_model_layers(const std::filesystem::path& path);

/// "0-3,5": numbers and ranges, ascending, each once.
/// @throws Error (usage) naming `flag`.
std::vector<int> parse_layer_list(std::string_view text, std::string_view flag);

}  // namespace moexray::imports
