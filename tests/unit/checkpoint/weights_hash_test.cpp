#include "moexray/checkpoint/weights_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "moexray/checkpoint/safetensors.h"
#include "moexray/checkpoint/safetensors_writer.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"

namespace moexray {
namespace {

using test::expect_error;
using Tensors = std::map<std::string, TensorView, std::less<>>;

std::string hash_of(const std::filesystem::path& directory) {
  return weights_xxh3(Checkpoint(directory).tensors());
}

// Tensors whose bytes the test owns.
class OwnedTensors {
 public:
  OwnedTensors(std::size_t n, std::size_t n_bytes) {
    for (std::size_t i = 0; i < n; ++i) {
      std::vector<std::byte>& bytes = bytes_["t" + std::to_string(i)];
      for (std::size_t j = 0; j < n_bytes; ++j) {
        bytes.push_back(static_cast<std::byte>(i * 31 + j * 7));
      }
    }
  }

  std::vector<std::byte>& at(const std::string& name) { return bytes_.at(name); }

  Tensors views() const {
    Tensors views;
    for (const auto& [name, bytes] : bytes_) {
      views[name] = {WeightType::f32, {std::ssize(bytes) / 4}, bytes};
    }
    return views;
  }

 private:
  std::map<std::string, std::vector<std::byte>> bytes_;
};

// Computed with the xxhash module of Python from the definition in the header.
TEST(WeightsHash, IsWhatItsDefinitionSays) {
  EXPECT_EQ(weights_xxh3({}), "xxh3-128:99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(weights_xxh3(OwnedTensors(3, 40).views()), "xxh3-128:8ffce96508b71ca7790ab752ae2d546e");
}

TEST(WeightsHash, DoesNotDependOnFiles) {
  const test::TemporaryDirectory directory;
  const test::OlmoeConfig config = test::tiny_config();
  test::write_tiny_checkpoint(directory.path() / "one", config);
  const std::string hash = hash_of(directory.path() / "one");
  EXPECT_EQ(hash.size(), 9U + 32U);
  for (const int n_shards : {2, 3, 7}) {
    const auto path = directory.path() / std::to_string(n_shards);
    test::write_tiny_checkpoint(path, config, {.n_shards = n_shards});
    EXPECT_EQ(hash_of(path), hash);
  }
  // The same tensors in the opposite order, with other metadata.
  const SafetensorsFile file(directory.path() / "one/model.safetensors");
  std::vector<TensorToWrite> list;
  for (const SafetensorsEntry& entry : file.header().tensors) {
    list.push_back({entry.name, entry.dtype, entry.shape, file.bytes(entry)});
  }
  std::reverse(list.begin(), list.end());
  std::filesystem::copy(directory.path() / "one", directory.path() / "turned");
  write_safetensors(directory.path() / "turned/model.safetensors", list, {{"format", "pt"}});
  EXPECT_EQ(hash_of(directory.path() / "turned"), hash);
  // Other values, and the same ones in another type.
  test::write_tiny_checkpoint(directory.path() / "other", config, {.seed = 2});
  EXPECT_NE(hash_of(directory.path() / "other"), hash);
  test::write_tiny_checkpoint(directory.path() / "bf16", config, {.type = WeightType::bf16});
  EXPECT_NE(hash_of(directory.path() / "bf16"), hash);
}

TEST(WeightsHash, SeesOneBitInAnyTensor) {
  const test::TemporaryDirectory directory;
  test::write_tiny_checkpoint(directory.path(), test::tiny_config());
  const std::filesystem::path path = directory.path() / "model.safetensors";
  const std::string whole = read_file(path, 1 << 24);
  const std::string hash = hash_of(directory.path());
  const SafetensorsFile file(path);
  for (const SafetensorsEntry& entry : file.header().tensors) {
    for (const std::uint64_t at : {entry.begin, (entry.begin + entry.end) / 2, entry.end - 1}) {
      std::string changed = whole;
      changed[file.header().data_offset + at] ^= 4;
      std::filesystem::remove(path);
      std::ofstream(path, std::ios::binary) << changed;
      EXPECT_NE(hash_of(directory.path()), hash) << entry.name << " byte " << at;
    }
  }
}

TEST(WeightsHash, SeesNamesTypesAndShapes) {
  const OwnedTensors tensors(2, 64);
  const std::string hash = weights_xxh3(tensors.views());
  Tensors views = tensors.views();
  std::swap(views.at("t0"), views.at("t1"));
  EXPECT_NE(weights_xxh3(views), hash);
  views = tensors.views();
  views.at("t0").shape = {4, 4};
  EXPECT_NE(weights_xxh3(views), hash);
  views = tensors.views();
  views.at("t1").type = WeightType::bf16;
  views.at("t1").shape = {32};
  EXPECT_NE(weights_xxh3(views), hash);
  views = tensors.views();
  auto node = views.extract("t1");
  node.key() = "t2";
  views.insert(std::move(node));
  EXPECT_NE(weights_xxh3(views), hash);
}

// Tensors of several chunks, on any number of threads.
TEST(WeightsHash, DoesNotDependOnThreadsAndTellsItsProgress) {
  OwnedTensors tensors(3, 9'000'000);
  const Tensors views = tensors.views();
  EXPECT_EQ(n_weight_bytes(views), 27'000'000U);
  WeightsHashOptions options;
  std::string hash;
  for (const int n_threads : {1, 2, 3, 64, 0}) {
    std::vector<std::uint64_t> seen;
    options.n_threads = n_threads;
    options.on_bytes = [&](std::uint64_t n) { seen.push_back(n); };
    const std::string found = weights_xxh3(views, options);
    if (hash.empty()) hash = found;
    EXPECT_EQ(found, hash) << n_threads;
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    EXPECT_EQ(seen.size(), 6U);
    EXPECT_EQ(seen.back(), 27'000'000U);
  }
  tensors.at("t1").at(8'999'999) ^= std::byte{1};
  EXPECT_NE(weights_xxh3(tensors.views()), hash);
}

TEST(WeightsHash, StopsWhenAskedTo) {
  const OwnedTensors tensors(2, 9'000'000);
  std::atomic<bool> stop = false;
  for (const int n_threads : {1, 2}) {
    WeightsHashOptions options{n_threads, &stop, [&](std::uint64_t) { stop = true; }};
    stop = false;
    expect_error(ErrorKind::interrupted, "interrupted",
                 [&] { weights_xxh3(tensors.views(), options); });
  }
  // Whatever on_bytes throws comes out too.
  WeightsHashOptions options{2, nullptr,
                             [](std::uint64_t) { throw Error(ErrorKind::runtime, "struck"); }};
  expect_error(ErrorKind::runtime, "struck", [&] { weights_xxh3(tensors.views(), options); });
}

TEST(DecidingConfig, HoldsWhatDecidesAndNothingElse) {
  const test::OlmoeConfig config = test::tiny_config();
  const std::string text = test::config_json(config);
  const std::string hash = deciding_config_sha256(parse_model_config(text, "c"));
  const auto expect_hash = [&](bool same, auto change) {
    test::OlmoeConfig other = config;
    change(other);
    const ModelConfig read = parse_model_config(test::config_json(other), "c");
    EXPECT_EQ(deciding_config_sha256(read) == hash, same) << deciding_config(read);
  };
  EXPECT_EQ(deciding_config_sha256(parse_model_config(test::config_json(config, true), "c")), hash);
  expect_hash(true, [](test::OlmoeConfig& c) { c.dtype = "bfloat16"; });
  expect_hash(true, [](test::OlmoeConfig& c) { c.max_position_embeddings += 1; });
  expect_hash(true, [](test::OlmoeConfig& c) { c.eos_token_ids = {1, 5}; });
  expect_hash(false, [](test::OlmoeConfig& c) { c.norm_topk_prob = !c.norm_topk_prob; });
  expect_hash(false, [](test::OlmoeConfig& c) { c.rope_theta = 10001; });
  expect_hash(false,
              [](test::OlmoeConfig& c) { c.rope_theta = std::nextafter(c.rope_theta, 1e9); });
  expect_hash(false, [](test::OlmoeConfig& c) { c.rms_norm_eps = 1e-6; });
  expect_hash(false, [](test::OlmoeConfig& c) { c.clip_qkv = 8.0; });
  expect_hash(false, [](test::OlmoeConfig& c) { c.num_key_value_heads = 1; });
  expect_hash(false, [](test::OlmoeConfig& c) { c.num_experts_per_tok = 1; });
  expect_hash(false, [](test::OlmoeConfig& c) { c.tie_word_embeddings = true; });
}

}  // namespace
}  // namespace moexray
