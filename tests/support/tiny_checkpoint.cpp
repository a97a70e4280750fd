#include "support/tiny_checkpoint.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <vector>

#include "moexray/checkpoint/safetensors_writer.h"
#include "moexray/core/file.h"
#include "moexray/core/random.h"

namespace moexray::test {
namespace {

std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// Good for values that f16 can hold: no infinities, no NaN.
std::uint16_t to_f16(float value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (value == 0) return sign;
  int exponent = 0;
  std::frexp(value, &exponent);
  exponent = std::max(exponent - 1, -14);
  const auto mantissa = std::lrint(std::ldexp(std::fabs(value), 10 - exponent));
  // A mantissa that rounds up to 2048 carries into the exponent; one below 1024 is a subnormal's.
  return static_cast<std::uint16_t>(sign + ((exponent + 14) << 10) + mantissa);
}

std::string shard_name(int shard, int n_shards) {
  if (n_shards == 1) return "model.safetensors";
  const auto five = [](int n) {
    return std::string(5 - std::to_string(n).size(), '0') + std::to_string(n);
  };
  return "model-" + five(shard + 1) + "-of-" + five(n_shards) + ".safetensors";
}

const char* dtype_name(WeightType type) {
  if (type == WeightType::bf16) return "bfloat16";
  return type == WeightType::f16 ? "float16" : "float32";
}

}  // namespace

std::vector<std::byte> random_bytes(const TensorSpec& spec, const TinyCheckpointOptions& options) {
  RandomStream stream(options.seed, spec.name);
  std::size_t n = 1;
  for (const std::int64_t size : spec.shape) n *= static_cast<std::size_t>(size);
  const double mean = spec.shape.size() == 1 ? 1.0 : 0.0;
  const std::size_t width = size_of(options.type);
  std::vector<std::byte> bytes(n * width);
  for (std::size_t i = 0; i < n; ++i) {
    const auto value = static_cast<float>(mean + options.scale * stream.normal());
    const std::uint16_t half = options.type == WeightType::bf16 ? to_bf16(value) : to_f16(value);
    const void* source = width == 4 ? static_cast<const void*>(&value) : &half;
    std::memcpy(bytes.data() + i * width, source, width);
  }
  return bytes;
}

OlmoeConfig tiny_config() {
  OlmoeConfig config;
  config.vocab_size = 64;
  config.hidden_size = 16;
  config.intermediate_size = 8;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.num_experts = 8;
  config.num_experts_per_tok = 2;
  config.max_position_embeddings = 128;
  config.eos_token_ids = {2};
  config.pad_token_id = 1;
  return config;
}

std::string config_json(const OlmoeConfig& config, bool transformers_5) {
  using Json = nlohmann::ordered_json;
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(); };
  Json json = {{"architectures", {"OlmoeForCausalLM"}},
               {"attention_bias", false},
               {"clip_qkv", or_null(config.clip_qkv)},
               {"eos_token_id", config.eos_token_ids},
               {"hidden_act", "silu"},
               {"hidden_size", config.hidden_size},
               {"intermediate_size", config.intermediate_size},
               {"max_position_embeddings", config.max_position_embeddings},
               {"model_type", "olmoe"},
               {"norm_topk_prob", config.norm_topk_prob},
               {"num_attention_heads", config.num_attention_heads},
               {"num_experts", config.num_experts},
               {"num_experts_per_tok", config.num_experts_per_tok},
               {"num_hidden_layers", config.num_hidden_layers},
               {"num_key_value_heads", config.num_key_value_heads},
               {"pad_token_id", or_null(config.pad_token_id)},
               {"rms_norm_eps", config.rms_norm_eps},
               {"tie_word_embeddings", config.tie_word_embeddings},
               {"vocab_size", config.vocab_size}};
  if (transformers_5) {
    json["dtype"] = config.dtype;
    json["rope_parameters"] = {{"rope_theta", config.rope_theta}, {"rope_type", "default"}};
  } else {
    json["rope_scaling"] = nullptr;
    json["rope_theta"] = config.rope_theta;
    json["torch_dtype"] = config.dtype;
  }
  return json.dump(2) + "\n";
}

ModelConfig model_config(const OlmoeConfig& config) {
  return parse_model_config(config_json(config), "config.json");
}

void write_tiny_checkpoint(const std::filesystem::path& directory, const OlmoeConfig& config,
                           const TinyCheckpointOptions& options) {
  std::filesystem::create_directories(directory);
  OlmoeConfig stored = config;
  stored.dtype = dtype_name(options.type);
  write_file_atomically(directory / "config.json", config_json(stored, options.transformers_5));

  const std::vector<TensorSpec> specs = expected_tensors(model_config(stored));
  nlohmann::ordered_json weight_map;
  std::size_t n_bytes = 0;
  const auto n_shards = static_cast<std::size_t>(options.n_shards);
  for (std::size_t shard = 0; shard < n_shards; ++shard) {
    const std::size_t begin = specs.size() * shard / n_shards;
    const std::size_t end = specs.size() * (shard + 1) / n_shards;
    const std::string name = shard_name(static_cast<int>(shard), options.n_shards);
    std::vector<std::vector<std::byte>> storage;
    std::vector<TensorToWrite> tensors;
    for (std::size_t i = begin; i < end; ++i) {
      storage.push_back(random_bytes(specs[i], options));
      tensors.push_back(
          {specs[i].name, std::string(name_of(options.type)), specs[i].shape, storage.back()});
      weight_map[specs[i].name] = name;
      n_bytes += storage.back().size();
    }
    write_safetensors(directory / name, tensors, {{"format", "pt"}});
  }
  if (options.n_shards > 1) {
    const nlohmann::ordered_json index = {{"metadata", {{"total_size", n_bytes}}},
                                          {"weight_map", weight_map}};
    write_file_atomically(directory / "model.safetensors.index.json", index.dump(2) + "\n");
  }
}

}  // namespace moexray::test
