#include "moexray/checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "moexray/checkpoint/safetensors.h"
#include "moexray/checkpoint/safetensors_writer.h"
#include "moexray/core/file.h"
#include "moexray/core/sha256.h"
#include "support/expect_error.h"
#include "support/fused_checkpoint.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"

namespace moexray {
namespace {

using nlohmann::json;
using test::expect_error;

// A tiny checkpoint on disk whose single weights file can be changed tensor by tensor.
class CheckpointDirectory {
 public:
  explicit CheckpointDirectory(const test::OlmoeConfig& config = test::tiny_config())
      : config_(config) {
    test::write_tiny_checkpoint(path(), config);
    read();
  }

  /// Takes the tensors from the file.
  void read() {
    tensors_.clear();
    const SafetensorsFile file(path() / "model.safetensors");
    for (const SafetensorsEntry& entry : file.header().tensors) {
      const auto bytes = file.bytes(entry);
      tensors_[entry.name] = {entry.dtype, entry.shape, {bytes.begin(), bytes.end()}};
    }
  }

  struct Tensor {
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::vector<std::byte> bytes;
  };

  std::map<std::string, Tensor>& tensors() { return tensors_; }
  const std::filesystem::path& path() const { return directory_.path(); }
  void write() const { write_as("model.safetensors", tensors_); }

  void write_as(const std::string& name, const std::map<std::string, Tensor>& tensors) const {
    std::vector<TensorToWrite> list;
    for (const auto& [key, tensor] : tensors) {
      list.push_back({key, tensor.dtype, tensor.shape, tensor.bytes});
    }
    write_safetensors(path() / name, list, {});
  }

  /// Splits the tensors into two shards, every second one each, and returns the index.
  json split() const {
    std::map<std::string, Tensor> halves[2];
    json index = {{"weight_map", json::object()}};
    int i = 0;
    for (const auto& [name, tensor] : tensors_) {
      const int half = i++ % 2;
      halves[half].emplace(name, tensor);
      index["weight_map"][name] = half == 0 ? "a.safetensors" : "b.safetensors";
    }
    write_as("a.safetensors", halves[0]);
    write_as("b.safetensors", halves[1]);
    std::filesystem::remove(path() / "model.safetensors");
    return index;
  }

  void write_index(const json& index) const {
    write_file_atomically(path() / "model.safetensors.index.json", index.dump());
  }

  void expect_refusal(std::string_view part) const {
    expect_error(ErrorKind::data, part, [&] { Checkpoint checkpoint(path()); });
  }

 private:
  test::TemporaryDirectory directory_;
  test::OlmoeConfig config_;
  std::map<std::string, Tensor> tensors_;
};

TEST(Architecture, HasTheTensorsOfThePublishedModel) {
  const ModelConfig config = read_model_config(MOEXRAY_TEST_DATA "/olmoe-1b-7b");
  std::string list;
  std::int64_t n_parameters = 0;
  const std::vector<TensorSpec> specs = expected_tensors(config);
  for (const TensorSpec& spec : specs) {
    std::int64_t n = 1;
    list += spec.name + " [";
    for (const std::int64_t size : spec.shape) {
      if (n != 1) list += ", ";
      list += std::to_string(size);
      n *= size;
    }
    list += "]\n";
    n_parameters += n;
  }
  EXPECT_EQ(specs.size(), 3219U);
  EXPECT_EQ(n_parameters, 6'919'161'856);
  // Of the lines "NAME [SHAPE]" of the published checkpoint in its own order.
  EXPECT_EQ(sha256_hex(list), "48ed45f83e3c04ab39d8f498106cfc8fadb9a182f034baf1d1ed02a1e5a7a274");
}

TEST(Architecture, CountsParameters) {
  const ParameterCount real = count_parameters(read_model_config(MOEXRAY_TEST_DATA "/olmoe-1b-7b"));
  EXPECT_EQ(real.total, 6'919'161'856);
  EXPECT_EQ(real.active, 1'282'017'280);
  for (const bool tied : {false, true}) {
    test::OlmoeConfig tiny = test::tiny_config();
    tiny.tie_word_embeddings = tied;
    const ModelConfig config = test::model_config(tiny);
    std::int64_t total = 0;
    std::int64_t unused = 0;
    for (const TensorSpec& spec : expected_tensors(config)) {
      std::int64_t n = 1;
      for (const std::int64_t size : spec.shape) n *= size;
      total += n;
      // Of 8 experts 2 are used; leave out any six.
      for (int e = 2; e < 8; ++e) {
        if (spec.name.find(".experts." + std::to_string(e) + ".") != std::string::npos) unused += n;
      }
    }
    EXPECT_EQ(count_parameters(config).total, total);
    EXPECT_EQ(count_parameters(config).active, total - unused);
  }
}

TEST(Checkpoint, LoadsEveryTypeAndVersion) {
  for (const WeightType type : {WeightType::bf16, WeightType::f16, WeightType::f32}) {
    const test::TemporaryDirectory directory;
    test::write_tiny_checkpoint(directory.path(), test::tiny_config(),
                                {.type = type, .transformers_5 = type == WeightType::f16});
    const Checkpoint checkpoint(directory.path());
    const std::vector<TensorSpec> specs = expected_tensors(checkpoint.config());
    EXPECT_EQ(checkpoint.tensors().size(), specs.size());
    for (const TensorSpec& spec : specs) {
      const TensorView& view = checkpoint.tensor(spec.name);
      EXPECT_EQ(view.shape, spec.shape);
      EXPECT_EQ(view.type, type);
    }
    expect_error(ErrorKind::data, "no tensor \"x\"", [&] { checkpoint.tensor("x"); });
  }
}

// The three types hold the same random values, rounded.
TEST(Checkpoint, TinyWeightsAgreeAcrossTypes) {
  std::vector<std::vector<float>> values;
  for (const WeightType type : {WeightType::f32, WeightType::bf16, WeightType::f16}) {
    const test::TemporaryDirectory directory;
    test::write_tiny_checkpoint(directory.path(), test::tiny_config(), {.type = type});
    const Checkpoint checkpoint(directory.path());
    const auto bytes = checkpoint.tensor("model.embed_tokens.weight").bytes;
    std::vector<float>& list = values.emplace_back();
    for (std::size_t i = 0; i < bytes.size(); i += size_of(type)) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, bytes.data() + i, size_of(type));
      if (type == WeightType::bf16) bits <<= 16;
      if (type == WeightType::f16) {
        const int exponent = static_cast<int>(bits >> 10 & 31);
        const auto mantissa = static_cast<float>((bits & 1023) + (exponent > 0 ? 1024 : 0));
        list.push_back(std::ldexp(bits >> 15 ? -mantissa : mantissa, std::max(exponent, 1) - 25));
      } else {
        list.push_back(std::bit_cast<float>(bits));
      }
    }
  }
  ASSERT_EQ(values[0].size(), 64U * 16U);
  for (std::size_t i = 0; i < values[0].size(); ++i) {
    EXPECT_NEAR(values[1][i], values[0][i], std::abs(values[0][i]) / 256) << i;
    EXPECT_NEAR(values[2][i], values[0][i], std::abs(values[0][i]) / 2048 + 1e-7) << i;
  }
}

TEST(Checkpoint, LoadsADummyOfTheRealNamesInThreeShards) {
  test::OlmoeConfig config = test::tiny_config();
  config.num_hidden_layers = 16;
  config.num_attention_heads = config.num_key_value_heads = 16;
  config.num_experts = 64;
  config.num_experts_per_tok = 8;
  config.vocab_size = 32;
  config.hidden_size = 32;
  config.intermediate_size = 4;
  config.eos_token_ids = {3};
  const test::TemporaryDirectory directory;
  test::write_tiny_checkpoint(directory.path(), config, {.type = WeightType::bf16, .n_shards = 3});
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "model-00003-of-00003.safetensors"));
  const Checkpoint checkpoint(directory.path());
  EXPECT_EQ(checkpoint.tensors().size(), 3219U);
  EXPECT_EQ(checkpoint.config().routing_shape(), (RoutingShape{16, 64, 8}));
  EXPECT_EQ(checkpoint.tensor("model.layers.15.mlp.experts.63.down_proj.weight").shape,
            (std::vector<std::int64_t>{32, 4}));
  EXPECT_EQ(checkpoint.router_sha256().size(), 64U);
}

TEST(Checkpoint, HashesTheRoutersInLayerOrder) {
  CheckpointDirectory directory;
  const std::string before = Checkpoint(directory.path()).router_sha256();
  std::string bytes;
  for (const char* name : {"model.layers.0.mlp.gate.weight", "model.layers.1.mlp.gate.weight"}) {
    const auto& gate = directory.tensors().at(name).bytes;
    bytes.append(reinterpret_cast<const char*>(gate.data()), gate.size());
  }
  EXPECT_EQ(before, sha256_hex(bytes));
  directory.tensors().at("lm_head.weight").bytes[0] ^= std::byte{1};
  directory.write();
  EXPECT_EQ(Checkpoint(directory.path()).router_sha256(), before);
  directory.tensors().at("model.layers.1.mlp.gate.weight").bytes[0] ^= std::byte{1};
  directory.write();
  EXPECT_NE(Checkpoint(directory.path()).router_sha256(), before);
}

TEST(Checkpoint, ListsEverythingThatIsWrongInOneError) {
  CheckpointDirectory directory;
  directory.tensors().erase("model.norm.weight");
  directory.tensors()["model.extra.weight"] = {"F32", {1}, std::vector<std::byte>(4)};
  directory.tensors()["lm_head.weight"].shape = {16, 64};
  directory.tensors()["model.layers.0.self_attn.q_norm.weight"].dtype = "I32";
  directory.write();
  directory.expect_refusal("4 tensors do not fit the config:");
  directory.expect_refusal("model.norm.weight: missing, expected [16]");
  directory.expect_refusal("model.extra.weight: not part of this model");
  directory.expect_refusal("lm_head.weight: expected [64, 16], found [16, 64]");
  directory.expect_refusal("q_norm.weight: expected BF16, F16 or F32, found I32");
}

TEST(Checkpoint, CutsALongList) {
  CheckpointDirectory directory;
  const std::size_t n = directory.tensors().size();
  directory.tensors().clear();
  directory.write();
  directory.expect_refusal("\n  and " + std::to_string(n - 20) + " more");
}

TEST(Checkpoint, IgnoresRotaryBuffers) {
  CheckpointDirectory directory;
  const std::size_t n = directory.tensors().size();
  directory.tensors()["model.layers.0.self_attn.rotary_emb.inv_freq"] = {
      "F32", {2}, std::vector<std::byte>(8)};
  directory.write();
  EXPECT_EQ(Checkpoint(directory.path()).tensors().size(), n);
}

TEST(Checkpoint, UsesMisalignedTensorsWhereTheyLie) {
  CheckpointDirectory directory;
  const auto wanted = directory.tensors().at("model.norm.weight").bytes;
  // An odd number of header bytes moves the whole data section to odd addresses.
  std::string file = read_file(directory.path() / "model.safetensors", 1 << 24);
  file.insert(8 + static_cast<unsigned char>(file[0]) + 256 * static_cast<unsigned char>(file[1]),
              " ");
  for (int i = 0; ++file[i] == 0; ++i) {
  }
  write_file_atomically(directory.path() / "model.safetensors", file);
  const Checkpoint checkpoint(directory.path());
  const TensorView& view = checkpoint.tensor("model.norm.weight");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.bytes.data()) % 2, 1U);
  EXPECT_TRUE(std::ranges::equal(view.bytes, wanted));
}

TEST(Checkpoint, TakesTiedEmbeddingsWithAndWithoutAnEqualHead) {
  test::OlmoeConfig config = test::tiny_config();
  config.tie_word_embeddings = true;
  CheckpointDirectory directory(config);
  const std::size_t n = directory.tensors().size();
  EXPECT_FALSE(directory.tensors().contains("lm_head.weight"));
  EXPECT_EQ(Checkpoint(directory.path()).tensors().size(), n);
  directory.tensors()["lm_head.weight"] = directory.tensors()["model.embed_tokens.weight"];
  directory.write();
  EXPECT_EQ(Checkpoint(directory.path()).tensors().size(), n);
  directory.tensors()["lm_head.weight"].bytes.back() ^= std::byte{1};
  directory.write();
  directory.expect_refusal("lm_head.weight: differs from model.embed_tokens.weight");
  directory.tensors()["lm_head.weight"].shape = {16, 64};
  directory.write();
  directory.expect_refusal("lm_head.weight: expected [64, 16]");
}

// --- Fused experts

class FusedCheckpoint : public testing::Test {
 protected:
  FusedCheckpoint() { test::write_fused_checkpoint(separate_.path(), fused_.path()); }

  static constexpr const char* gate_up = "model.layers.1.mlp.experts.gate_up_proj";
  static constexpr const char* down = "model.layers.1.mlp.experts.down_proj";

  CheckpointDirectory separate_;
  test::TemporaryDirectory fused_;
};

TEST_F(FusedCheckpoint, IsSeenAsSeparateExpertsWithoutACopy) {
  const Checkpoint separate(separate_.path());
  const Checkpoint fused(fused_.path());
  EXPECT_EQ(fused.expert_layout(), ExpertLayout::fused);
  EXPECT_EQ(separate.expert_layout(), ExpertLayout::separate);
  EXPECT_EQ(fused.router_sha256(), separate.router_sha256());
  ASSERT_EQ(fused.tensors().size(), separate.tensors().size());
  for (const auto& [name, tensor] : separate.tensors()) {
    const TensorView& view = fused.tensor(name);
    EXPECT_EQ(view.shape, tensor.shape) << name;
    EXPECT_TRUE(std::ranges::equal(view.bytes, tensor.bytes)) << name;
  }
  // One mapping holds them all.
  const TensorView& first = fused.tensor("model.layers.1.mlp.experts.0.gate_proj.weight");
  const TensorView& second = fused.tensor("model.layers.1.mlp.experts.0.up_proj.weight");
  EXPECT_EQ(first.bytes.data() + first.bytes.size(), second.bytes.data());
  const RoutingShape shape = fused.config().routing_shape();
  const std::int64_t n_separate = separate.n_stored_tensors().at(WeightType::f32);
  EXPECT_EQ(fused.n_stored_tensors().at(WeightType::f32),
            n_separate - shape.n_layers * (3 * shape.n_experts - 2));
}

TEST_F(FusedCheckpoint, NamesTheLayoutWhereSomethingIsWrong) {
  using Tensors = std::map<std::string, CheckpointDirectory::Tensor>;
  const auto refuse = [&](auto change, const std::vector<std::string>& parts) {
    CheckpointDirectory directory;
    std::filesystem::remove_all(directory.path() / "model.safetensors");
    std::filesystem::remove(directory.path() / "config.json");
    test::write_fused_checkpoint(separate_.path(), directory.path());
    directory.read();
    change(directory.tensors());
    directory.write();
    for (const std::string& part : parts) directory.expect_refusal(part);
  };
  refuse([&](Tensors& t) { t.erase(down); },
         {"1 tensor does not fit the config (fused experts, as transformers 5 saves them",
          "model.layers.1.mlp.experts.down_proj: missing, expected [8, 16, "});
  refuse([&](Tensors& t) { t.at(gate_up).shape = {8, 8, 32}; }, {"gate_up_proj: expected [8, "});
  refuse(
      [&](Tensors& t) {
        t.at(gate_up).shape[0] /= 2;
        t.at(gate_up).shape[1] *= 2;
      },
      {"gate_up_proj: expected [8, "});
  refuse([&](Tensors& t) { t.at(gate_up).dtype = "I32"; },
         {"expected BF16, F16 or F32, found I32"});
  // One layer the other way: what is missing comes first, and what is too many is counted.
  refuse(
      [&](Tensors& t) {
        t.erase(gate_up);
        t.erase(down);
        for (const auto& [name, tensor] : separate_.tensors()) {
          if (name.starts_with("model.layers.1.mlp.experts.")) t[name] = tensor;
        }
      },
      {"26 tensors do not fit the config (fused experts",
       "24 tensors of single experts beside them: both layouts in one checkpoint):\n  "
       "model.layers.1.mlp.experts.down_proj: missing",
       "\n  and 6 more"});
}

TEST(Checkpoint, NeedsWeights) {
  CheckpointDirectory directory;
  EXPECT_TRUE(has_weights(directory.path()));
  std::filesystem::remove(directory.path() / "model.safetensors");
  EXPECT_FALSE(has_weights(directory.path()));
  directory.expect_refusal(
      "no weights: expected model.safetensors or model.safetensors.index.json");
}

TEST(ShardIndex, LoadsShards) {
  CheckpointDirectory directory;
  directory.write_index(directory.split());
  const Checkpoint checkpoint(directory.path());
  for (const auto& [name, tensor] : directory.tensors()) {
    EXPECT_TRUE(std::ranges::equal(checkpoint.tensor(name).bytes, tensor.bytes)) << name;
  }
}

TEST(ShardIndex, MustAgreeWithTheHeaders) {
  CheckpointDirectory directory;
  const json good = directory.split();
  json index = good;
  index["weight_map"]["lm_head.weight"] =
      good["weight_map"]["lm_head.weight"] == "a.safetensors" ? "b.safetensors" : "a.safetensors";
  directory.write_index(index);
  directory.expect_refusal("lm_head.weight: in ");
  directory.expect_refusal("which does not have it");
  index = good;
  index["weight_map"].erase("lm_head.weight");
  directory.write_index(index);
  directory.expect_refusal("but not in the index");
  index = good;
  index["weight_map"]["model.ghost.weight"] = "a.safetensors";
  directory.write_index(index);
  directory.expect_refusal("model.ghost.weight: the index puts it into a.safetensors");
  index = good;
  index["weight_map"]["lm_head.weight"] = "c.safetensors";
  directory.write_index(index);
  directory.expect_refusal("1 of 3 files of weights are missing, \"c.safetensors\" the first");
}

TEST(ShardIndex, RefusesATensorInTwoShards) {
  CheckpointDirectory directory;
  const json index = directory.split();
  const json& weight_map = index["weight_map"];
  const bool is_in_a = weight_map["lm_head.weight"] == "a.safetensors";
  const std::string other = is_in_a ? "b.safetensors" : "a.safetensors";
  std::map<std::string, CheckpointDirectory::Tensor> tensors;
  for (const auto& [name, tensor] : directory.tensors()) {
    if (name == "lm_head.weight" || weight_map[name] == other) tensors.emplace(name, tensor);
  }
  directory.write_as(other, tensors);
  directory.write_index(index);
  directory.expect_refusal("in more than one file");
}

TEST(ShardIndex, RefusesNamesOutsideTheDirectory) {
  CheckpointDirectory directory;
  const json good = directory.split();
  for (const std::string& name :
       {std::string("../a.safetensors"), std::string("/a.safetensors"), std::string("x/a"),
        std::string(".."), std::string("."), std::string(), std::string("a\0b", 3)}) {
    json index = good;
    index["weight_map"]["lm_head.weight"] = name;
    directory.write_index(index);
    directory.expect_refusal("expected the plain name of a file in the same directory");
  }
}

TEST(ShardIndex, RefusesMalformedFiles) {
  CheckpointDirectory directory;
  const json good = directory.split();
  const auto refuse = [&](std::string_view part, std::string_view text) {
    write_file_atomically(directory.path() / "model.safetensors.index.json", text);
    directory.expect_refusal(part);
  };
  refuse("not valid JSON", "{");
  refuse("key \"weight_map\": missing", "{}");
  refuse("key \"weight_map\": missing", "[]");
  refuse("wrong type", R"({"weight_map":[]})");
  refuse("wrong type", R"({"weight_map":{}})");
  refuse("wrong type", R"({"weight_map":{"a":1}})");
  refuse("duplicate key", R"({"weight_map":{"a":"x","a":"x"}})");
  refuse("nested too deeply", "{\"weight_map\":" + std::string(100, '['));
}

}  // namespace
}  // namespace moexray
