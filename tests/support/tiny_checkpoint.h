#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "moexray/checkpoint/checkpoint.h"

namespace moexray::test {

struct TinyCheckpointOptions {
  std::uint64_t seed = 1;
  WeightType type = WeightType::f32;
  int n_shards = 1;             ///< above 1: model-0000I-of-0000N.safetensors with an index
  double scale = 0.2;           ///< standard deviation of the weights; those of norms have mean 1
  bool transformers_5 = false;  ///< write config.json with `rope_parameters` and `dtype`
};

/// The config.json of an OLMoE model, under the names Hugging Face gives the keys.
struct OlmoeConfig {
  int vocab_size = 0;
  int hidden_size = 0;
  int intermediate_size = 0;  ///< width of one expert
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int num_experts = 0;
  int num_experts_per_tok = 0;
  int max_position_embeddings = 0;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000.0;
  std::optional<double> clip_qkv;
  bool norm_topk_prob = false;
  bool tie_word_embeddings = false;
  std::string dtype = "float32";
  std::vector<TokenId> eos_token_ids;
  std::optional<TokenId> pad_token_id;

  int head_dim() const { return hidden_size / num_attention_heads; }
};

/// A valid config of a few thousand parameters: 2 layers of 8 experts, top-2, width 16, 64 tokens,
/// eos 2.
OlmoeConfig tiny_config();

/// `config.json` as transformers 4 or 5 writes it for this config.
std::string config_json(const OlmoeConfig& config, bool transformers_5 = false);

/// What is read of that.
ModelConfig model_config(const OlmoeConfig& config);

/// Random values of a tensor: normal around 0, or around 1 where it is a vector.
std::vector<std::byte> random_bytes(const TensorSpec& spec,
                                    const TinyCheckpointOptions& options = {});

/// Writes a checkpoint with random weights of this config: config.json and safetensors, no
/// tokenizer. Makes the directory if it is not there. The same config and options give the same
/// bytes.
void write_tiny_checkpoint(const std::filesystem::path& directory, const OlmoeConfig& config,
                           const TinyCheckpointOptions& options = {});

}  // namespace moexray::test
