#include "support/double_architecture.h"

#include <array>
#include <vector>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/checkpoint/safetensors_writer.h"
#include "moexray/core/file.h"

namespace moexray::test {
namespace {

ModelSpec read_double(const ConfigReader& config) {
  ModelSpec spec;
  spec.vocab_size = config.integer("vocab", 1, 1000);
  spec.hidden_size = config.integer("width", 1, 1000);
  spec.final_norm = {config.number("eps", 1e-6)};
  spec.tied_embeddings = config.boolean("tied", false);
  const int n_layers = config.integer("depth", 1, 100);
  LayerSpec layer;
  layer.norm = spec.final_norm;
  layer.attention.n_heads = config.integer("heads", 1, 100);
  layer.attention.n_kv_heads = config.integer_or("kv_heads", layer.attention.n_heads, 1, 100);
  layer.attention.head_dim = config.integer("head_width", 1, 100);
  layer.attention.rotary.dim = config.integer("rotary_width", 0, layer.attention.head_dim);
  if (config.boolean("head_norms", true)) layer.attention.qk_norm = QkNormSpec{{1e-4}, true};
  const ConfigReader moe = config.section("moe");
  MoeSpec experts{{moe.integer("experts", 1, 100), moe.integer("chosen", 1, 100), true},
                  {moe.integer("width", 1, 1000)},
                  {}};
  if (moe.has("shared")) experts.shared = {moe.integer("shared", 1, 1000)};
  for (const std::string& kind : config.texts("layers", static_cast<std::size_t>(n_layers))) {
    layer.attention.rotary.theta = 100.0 * static_cast<double>(spec.layers.size() + 1);
    layer.mlp = experts;
    if (kind == "dense") layer.mlp = FeedForwardSpec{config.integer("dense_width", 1, 1000)};
    spec.layers.push_back(layer);
  }
  return spec;
}

void double_weights(const ModelSpec& spec, WeightList& list) {
  list.add(WeightRole::embedding, "tokens");
  for (int l = 0; l < static_cast<int>(spec.layers.size()); ++l) {
    const LayerSpec& layer = spec.layers[static_cast<std::size_t>(l)];
    const std::string prefix = "h." + std::to_string(l) + ".";
    list.add(WeightRole::attention_norm, prefix + "norm1", l);
    list.add(WeightRole::query, prefix + "q", l);
    list.add(WeightRole::key, prefix + "k", l);
    list.add(WeightRole::value, prefix + "v", l);
    list.add(WeightRole::output, prefix + "o", l);
    if (layer.attention.qk_norm) {
      list.add(WeightRole::query_norm, prefix + "qn", l);
      list.add(WeightRole::key_norm, prefix + "kn", l);
    }
    list.add(WeightRole::mlp_norm, prefix + "norm2", l);
    const MoeSpec* moe = layer.moe();
    if (moe == nullptr) {
      list.add(WeightRole::gate, prefix + "dense.gate", l);
      list.add(WeightRole::up, prefix + "dense.up", l);
      list.add(WeightRole::down, prefix + "dense.down", l);
      continue;
    }
    list.add(WeightRole::router, prefix + "router", l);
    list.add_experts(l, {prefix + "e.", "w1", "w3", "w2", prefix + "e.w13", prefix + "e.w2"});
    if (!moe->shared) continue;
    list.add(WeightRole::shared_gate, prefix + "shared.gate", l);
    list.add(WeightRole::shared_up, prefix + "shared.up", l);
    list.add(WeightRole::shared_down, prefix + "shared.down", l);
  }
  list.add(WeightRole::final_norm, "norm");
  list.add(WeightRole::head, "head");
}

constexpr std::array<Architecture, 1> table = {
    {{"DoubleForCausalLM", "double", read_double, double_weights}}};

}  // namespace

std::span<const Architecture> double_table() { return table; }

std::string double_config_json() {
  return R"({
  "architectures": ["DoubleForCausalLM"],
  "model_type": "double",
  "vocab": 40,
  "width": 20,
  "depth": 3,
  "heads": 4,
  "kv_heads": 2,
  "head_width": 6,
  "rotary_width": 4,
  "layers": ["dense", "moe", "moe"],
  "dense_width": 26,
  "moe": {"experts": 5, "chosen": 2, "width": 10, "shared": 14},
  "max_position_embeddings": 64,
  "eos_token_id": 2
})";
}

void write_double_checkpoint(const std::filesystem::path& directory,
                             const TinyCheckpointOptions& options) {
  std::filesystem::create_directories(directory);
  write_file_atomically(directory / "config.json", double_config_json());
  const ModelConfig config = read_model_config(directory, table);
  std::vector<std::vector<std::byte>> storage;
  std::vector<TensorToWrite> tensors;
  for (const TensorSpec& spec : expected_tensors(config)) {
    storage.push_back(random_bytes(spec, options));
    tensors.push_back({spec.name, std::string(name_of(options.type)), spec.shape, storage.back()});
  }
  write_safetensors(directory / "model.safetensors", tensors, {});
}

}  // namespace moexray::test
