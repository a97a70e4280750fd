#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "moexray/checkpoint/checkpoint.h"

namespace moexray::test {

struct TinyCheckpointOptions {
  std::uint64_t seed = 1;
  WeightType type = WeightType::f32;
  int n_shards = 1;             ///< above 1: model-0000I-of-0000N.safetensors with an index
  double scale = 0.2;           ///< standard deviation of the weights; those of norms have mean 1
  bool transformers_5 = false;  ///< write config.json with `rope_parameters` and `dtype`
};

/// A valid config of a few thousand parameters: 2 layers of 8 experts, top-2, width 16, 64 tokens,
/// eos 2.
ModelConfig tiny_config();

/// `config.json` as transformers 4 or 5 writes it for this config. `name` and `sha256` are left
/// out.
std::string config_json(const ModelConfig& config, bool transformers_5 = false);

/// Writes a checkpoint with random weights of this config: config.json and safetensors, no
/// tokenizer. Makes the directory if it is not there. The same config and options give the same
/// bytes.
void write_tiny_checkpoint(const std::filesystem::path& directory, const ModelConfig& config,
                           const TinyCheckpointOptions& options = {});

}  // namespace moexray::test
