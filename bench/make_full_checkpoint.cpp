// Writes a checkpoint with the names, shapes, types and shards of a published one and random
// weights, for measuring speed and memory:
//   make_full_checkpoint DIR [CONFIG]
// CONFIG is a config.json of any supported model (tests/data/configs has some); without one it is
// that of OLMoE-1B-7B-0125-Instruct: 13.8 GB in three shards, split where `transformers` splits
// them, before a shard would pass 5 GB.

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/checkpoint/safetensors_writer.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/core/random.h"

namespace moexray {
namespace {

constexpr std::size_t max_shard_bytes = 5'000'000'000;
constexpr std::uint16_t one = 0x3F80;  // 1.0 in bfloat16

constexpr std::string_view olmoe_1b_7b = R"({
  "architectures": ["OlmoeForCausalLM"],
  "model_type": "olmoe",
  "vocab_size": 50304,
  "hidden_size": 2048,
  "intermediate_size": 1024,
  "num_hidden_layers": 16,
  "num_attention_heads": 16,
  "num_key_value_heads": 16,
  "num_experts": 64,
  "num_experts_per_tok": 8,
  "max_position_embeddings": 4096,
  "torch_dtype": "bfloat16",
  "eos_token_id": 50279,
  "pad_token_id": 1
})";

std::size_t n_values(const TensorSpec& spec) {
  return static_cast<std::size_t>(moexray::n_values(spec.shape));
}

// Matrices are slices of one sequence of normal values with OLMoE's initial standard deviation,
// 0.02: router logits then spread by about 1, and activations stay near it.
class Weights {
 public:
  explicit Weights(std::size_t longest)
      : ones_(longest_vector, one), zeros_(longest_vector), pool_(longest + (1 << 24)) {
    RandomStream random(1, "weights");
    for (std::uint16_t& value : pool_) {
      const auto wide = static_cast<float>(0.02 * random.normal());
      value = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(wide) >> 16);
    }
  }

  std::span<const std::byte> of(const TensorSpec& spec) {
    const std::size_t n = n_values(spec);
    if (spec.name.ends_with(".bias")) return std::as_bytes(std::span(zeros_).first(n));
    if (spec.shape.size() == 1) return std::as_bytes(std::span(ones_).first(n));
    return std::as_bytes(std::span(pool_).subspan(random_.below(pool_.size() - n + 1), n));
  }

 private:
  static constexpr std::size_t longest_vector = 1 << 20;  // the widest that a config may have

  std::vector<std::uint16_t> ones_, zeros_, pool_;
  RandomStream random_{1, "places"};
};

void write_checkpoint(const std::filesystem::path& directory, const std::string& config_text,
                      const std::string& config_name) {
  const ModelConfig config = parse_model_config(config_text, config_name);
  const std::vector<TensorSpec> specs = expected_tensors(config);
  std::vector<std::vector<const TensorSpec*>> shards(1);
  std::size_t shard_bytes = 0, total_bytes = 0, longest = 0;
  for (const TensorSpec& spec : specs) {
    const std::size_t n_bytes = 2 * n_values(spec);
    if (shard_bytes + n_bytes > max_shard_bytes) {
      shards.emplace_back();
      shard_bytes = 0;
    }
    shards.back().push_back(&spec);
    shard_bytes += n_bytes;
    total_bytes += n_bytes;
    longest = std::max(longest, n_values(spec));
  }
  std::filesystem::create_directories(directory);
  const std::uintmax_t free = std::filesystem::space(directory).available;
  if (free < total_bytes) {
    throw Error(ErrorKind::runtime, {"too little space", directory.string(),
                                     fmt::format("{} bytes", total_bytes), std::to_string(free)});
  }
  Weights weights(longest);
  std::string index;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    std::vector<TensorToWrite> tensors;
    for (const TensorSpec* spec : shards[i]) {
      tensors.push_back({spec->name, "BF16", spec->shape, weights.of(*spec)});
      index += fmt::format("{}\n    \"{}\": \"{}\"", index.empty() ? "" : ",", spec->name, name);
    }
    write_safetensors(directory / name, tensors, {{"format", "pt"}});
  }
  write_file_atomically(directory / "config.json", config_text);
  write_file_atomically(
      directory / "model.safetensors.index.json",
      fmt::format("{{\n  \"metadata\": {{\"total_size\": {}}},\n  \"weight_map\": {{{}\n  "
                  "}}\n}}\n",
                  total_bytes, index));
}

}  // namespace
}  // namespace moexray

int main(int argc, char** argv) {
  if ((argc != 2 && argc != 3) || argv[1][0] == '-') {
    std::cerr << "usage: make_full_checkpoint DIR [CONFIG]\n";
    return 2;
  }
  try {
    const std::string config =
        argc == 3 ? moexray::read_file(argv[2], 1 << 20) : std::string(moexray::olmoe_1b_7b);
    moexray::write_checkpoint(argv[1], config, argc == 3 ? argv[2] : "config.json");
  } catch (const std::exception& error) {
    std::cerr << "make_full_checkpoint: " << error.what() << '\n';
    return 1;
  }
}
