#include "moexray/checkpoint/config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "moexray/core/file.h"
#include "moexray/core/sha256.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"

namespace moexray {
namespace {

using nlohmann::json;
using test::expect_error;

// Writes config.json (and generation_config.json) and reads them back.
class ConfigFile {
 public:
  ModelConfig read(std::string_view text) {
    write_file_atomically(directory_.path() / "config.json", text);
    return read_model_config(directory_.path());
  }
  ModelConfig read_json(const json& config) { return read(config.dump()); }
  void set_generation(std::string_view text) {
    write_file_atomically(directory_.path() / "generation_config.json", text);
  }
  /// Reads the tiny config with one key set, or removed where `value` is discarded.
  ModelConfig read_with(std::string_view key, const json& value) {
    json config = json::parse(test::config_json(test::tiny_config()));
    config[std::string(key)] = value;
    return read_json(config);
  }
  const std::filesystem::path& path() const { return directory_.path(); }

 private:
  test::TemporaryDirectory directory_;
};

TEST(ModelConfig, ReadsThePublishedConfig) {
  const std::filesystem::path directory = MOEXRAY_TEST_DATA "/olmoe-1b-7b";
  const ModelConfig config = read_model_config(directory);
  EXPECT_EQ(config.architecture->name, "OlmoeForCausalLM");
  EXPECT_EQ(config.name, "olmoe-1b-7b");
  const ModelSpec& spec = config.spec;
  EXPECT_EQ(spec.vocab_size, 50304);
  EXPECT_EQ(spec.hidden_size, 2048);
  EXPECT_FALSE(spec.tied_embeddings);
  EXPECT_DOUBLE_EQ(spec.final_norm.eps, 1e-5);
  ASSERT_EQ(spec.layers.size(), 16U);
  for (const LayerSpec& layer : spec.layers) EXPECT_EQ(layer, spec.layers[0]);
  const AttentionSpec& attention = spec.layers[0].attention;
  EXPECT_EQ(attention.n_heads, 16);
  EXPECT_EQ(attention.n_kv_heads, 16);
  EXPECT_EQ(attention.head_dim, 128);
  EXPECT_EQ(attention.qk_norm, (QkNormSpec{{1e-5}, false}));
  EXPECT_EQ(attention.clip, std::nullopt);
  EXPECT_EQ(attention.rotary, (RotarySpec{128, 10000, {}}));
  EXPECT_EQ(*spec.layers[0].moe(), (MoeSpec{{64, 8, false}, {1024}, {}}));
  EXPECT_EQ(config.routing_shape(), (RoutingShape{16, 64, 8}));
  EXPECT_EQ(config.max_position_embeddings, 4096);
  EXPECT_EQ(config.dtype, "bfloat16");
  EXPECT_EQ(config.eos_token_ids, (std::vector<TokenId>{50279}));
  EXPECT_EQ(config.bos_token_id, std::nullopt);
  EXPECT_EQ(config.pad_token_id, 1);
  EXPECT_EQ(config.sha256, sha256_hex(read_file(directory / "config.json", 1 << 20)));
}

TEST(ModelConfig, ReadsBothVersionsAlike) {
  test::OlmoeConfig wanted = test::tiny_config();
  wanted.rope_theta = 5e5;
  wanted.rms_norm_eps = 1e-6;
  wanted.clip_qkv = 8.0;
  wanted.norm_topk_prob = true;
  wanted.tie_word_embeddings = true;
  wanted.dtype = "float16";
  wanted.eos_token_ids = {5, 7};
  for (const bool transformers_5 : {false, true}) {
    ConfigFile file;
    const ModelConfig config = file.read(test::config_json(wanted, transformers_5));
    const LayerSpec& layer = config.spec.layers.at(1);
    EXPECT_EQ(config.spec.hidden_size, wanted.hidden_size);
    EXPECT_EQ(layer.attention.n_kv_heads, wanted.num_key_value_heads);
    EXPECT_DOUBLE_EQ(layer.attention.rotary.theta, 5e5);
    EXPECT_DOUBLE_EQ(layer.norm.eps, 1e-6);
    EXPECT_DOUBLE_EQ(layer.attention.qk_norm.value().norm.eps, 1e-6);
    EXPECT_EQ(layer.attention.clip, 8.0);
    EXPECT_TRUE(config.spec.router().normalise);
    EXPECT_TRUE(config.spec.tied_embeddings);
    EXPECT_EQ(config.dtype, "float16");
    EXPECT_EQ(config.eos_token_ids, (std::vector<TokenId>{5, 7}));
    EXPECT_EQ(config.name, file.path().filename().string());
  }
}

TEST(ModelConfig, FillsInWhatTransformersFillsIn) {
  json config = json::parse(test::config_json(test::tiny_config()));
  for (const char* key :
       {"num_key_value_heads", "rms_norm_eps", "rope_theta", "norm_topk_prob", "torch_dtype",
        "tie_word_embeddings", "hidden_act", "attention_bias", "eos_token_id", "architectures"}) {
    config.erase(key);
  }
  const ModelConfig read = ConfigFile().read_json(config);
  const AttentionSpec& attention = read.spec.layers.at(0).attention;
  EXPECT_EQ(attention.n_kv_heads, attention.n_heads);
  EXPECT_DOUBLE_EQ(read.spec.final_norm.eps, 1e-5);
  EXPECT_DOUBLE_EQ(attention.rotary.theta, 10000);
  EXPECT_EQ(read.dtype, "float32");
  EXPECT_TRUE(read.eos_token_ids.empty());
}

TEST(ModelConfig, NeedsEverySize) {
  for (const char* key :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "num_experts", "num_experts_per_tok", "max_position_embeddings"}) {
    const std::string where = "config.json: key \"" + std::string(key) + "\": ";
    ConfigFile file;
    json config = json::parse(test::config_json(test::tiny_config()));
    config.erase(key);
    expect_error(ErrorKind::data, where + "missing", [&] { file.read_json(config); });
    for (const json& value :
         {json(0), json(-1), json(1.5), json("16"), json(1e300), json::array({1}), json(true),
          json(1LL << 40), json(~0ULL), json(-9223372036854775807LL)}) {
      expect_error(ErrorKind::data, where + "wrong value: expected an integer from 1 to ",
                   [&] { file.read_with(key, value); });
    }
    expect_error(ErrorKind::data, where + "missing: found null",
                 [&] { file.read_with(key, nullptr); });
  }
}

TEST(ModelConfig, RefusesSizesThatDoNotFitTogether) {
  ConfigFile file;
  const auto refuse = [&](std::string_view part, std::string_view key, const json& value) {
    expect_error(ErrorKind::data, part, [&] { file.read_with(key, value); });
  };
  refuse("does not divide hidden_size", "num_attention_heads", 5);
  refuse("heads of even width", "num_attention_heads", 16);
  refuse("does not divide num_attention_heads", "num_key_value_heads", 3);
  refuse("integer from 1 to 4, found 8", "num_key_value_heads", 8);
  refuse("integer from 1 to 8, found 9", "num_experts_per_tok", 9);
  refuse("\"head_dim\": the rotary embedding needs heads of even width", "head_dim", 7);
  refuse("\"num_local_experts\": disagrees with num_experts: expected 8, found 9",
         "num_local_experts", 9);
  json many = json::parse(test::config_json(test::tiny_config()));
  many["num_hidden_layers"] = 1000;
  many["num_experts"] = 60000;
  expect_error(ErrorKind::data, "too many experts in all layers together",
               [&] { file.read_json(many); });
  EXPECT_EQ(file.read_with("head_dim", 4).spec.layers.at(0).attention.head_dim, 4);
  EXPECT_EQ(file.read_with("head_dim", 8).spec.layers.at(0).attention.head_dim, 8);
}

TEST(ModelConfig, RefusesWhatWouldChangeTheComputation) {
  ConfigFile file;
  const auto refuse = [&](std::string_view part, std::string_view key, const json& value) {
    expect_error(ErrorKind::data, part, [&] { file.read_with(key, value); });
  };
  refuse("\"architectures\": architecture is not implemented", "architectures", {"MixtralModel"});
  refuse("\"architectures\": architecture is not implemented", "architectures", {"OlmoeModel"});
  refuse("\"architectures\": architecture is not implemented", "architectures", json::array());
  refuse("\"architectures\": architecture is not implemented", "architectures", "OlmoeForCausalLM");
  refuse("\"model_type\": architecture is not implemented", "model_type", "qwen7_moe");
  refuse("\"hidden_act\": not implemented: expected \"silu\", found \"gelu\"", "hidden_act",
         "gelu");
  refuse("\"quantization_config\"", "quantization_config", {{"bits", 4}});
  refuse("this rope scaling is not implemented", "rope_scaling",
         {{"type", "dynamic"}, {"factor", 2.0}});
  refuse("this rope scaling is not implemented", "rope_scaling", {{"factor", 2.0}});
  refuse("this rope scaling is not implemented", "rope_parameters",
         {{"full_attention", {{"rope_type", "default"}}}});
  refuse("\"type\": disagrees with rope_type", "rope_scaling",
         {{"type", "yarn"}, {"rope_type", "linear"}, {"factor", 2.0}});
  refuse("disagrees", "rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5e5}});
  refuse("partial_rotary_factor", "rope_parameters",
         {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}});
  refuse("an object, found 3", "rope_scaling", 3);
  refuse("dtype is not implemented", "torch_dtype", "float8_e4m3fn");
  const ModelConfig plain = file.read_with("rope_scaling", {{"rope_type", "default"}});
  EXPECT_DOUBLE_EQ(plain.spec.layers.at(0).attention.rotary.theta, 10000);
}

TEST(ModelConfig, RefusesValuesOutOfRange) {
  ConfigFile file;
  const auto refuse = [&](std::string_view part, std::string_view key, const json& value) {
    expect_error(ErrorKind::data, part, [&] { file.read_with(key, value); });
  };
  refuse("\"rope_theta\": wrong value", "rope_theta", 0);
  refuse("\"rope_theta\": wrong value", "rope_theta", -1e4);
  refuse("\"rope_theta\": wrong type", "rope_theta", "1e4");
  refuse("\"rms_norm_eps\": wrong value", "rms_norm_eps", -1e-5);
  refuse("\"rms_norm_eps\": wrong value", "rms_norm_eps", 1e30);
  refuse("null or a number above 0, found 0", "clip_qkv", 0);
  refuse("found 1e+300", "rms_norm_eps", 1e300);
  refuse("1e30 at most, found 1e+31", "rope_theta", 1e31);
  refuse("\"partial_rotary_factor\": not implemented: expected 1, found 0.5",
         "partial_rotary_factor", 0.5);
  refuse("\"clip_qkv\": wrong type", "clip_qkv", true);
  refuse("\"norm_topk_prob\": wrong type", "norm_topk_prob", 1);
  refuse("\"tie_word_embeddings\": wrong type", "tie_word_embeddings", "true");
  refuse("\"eos_token_id\": wrong type: expected a whole number", "eos_token_id", {1, "2"});
  refuse("\"eos_token_id\": wrong type", "eos_token_id", 2.5);
  refuse("\"eos_token_id\": wrong type", "eos_token_id", true);
  refuse("\"eos_token_id\": too many ids", "eos_token_id", json(std::vector<int>(1000, 1)));
  refuse("\"pad_token_id\": wrong type", "pad_token_id", "x");
  EXPECT_EQ(file.read_with("pad_token_id", -1).pad_token_id, std::nullopt);
  for (const json& ids : {json({1, 99999}), json({1, nullptr}), json({-1, 1, 1}),
                          json({1, 18446744073709551615U}), json({1, -100})}) {
    EXPECT_EQ(file.read_with("eos_token_id", ids).eos_token_ids, std::vector<TokenId>{1}) << ids;
  }
  for (const json& none : {json(-1), json(64), json(), json::array(), json({nullptr})}) {
    EXPECT_TRUE(file.read_with("eos_token_id", none).eos_token_ids.empty()) << none;
  }
  EXPECT_EQ(file.read_with("eos_token_id", -1).notices, std::vector<std::string>{});
  EXPECT_EQ(file.read_with("pad_token_id", 64).notices.size(), 1U);
  EXPECT_EQ(file.read_with("bos_token_id", -2).bos_token_id, std::nullopt);
  EXPECT_EQ(file.read_with("eos_token_id", {3, 4, 3}).eos_token_ids, (std::vector<TokenId>{3, 4}));
}

// What training writes.
TEST(ModelConfig, IsWrittenAndReadBack) {
  test::OlmoeConfig tiny = test::tiny_config();
  tiny.clip_qkv = 8.0;
  tiny.norm_topk_prob = true;
  tiny.rope_theta = 5e5;
  tiny.eos_token_ids = {5, 7};
  const ModelConfig config = test::model_config(tiny);
  const ModelConfig read = parse_model_config(olmoe_config_json(config), "config.json");
  EXPECT_EQ(read.spec, config.spec);
  EXPECT_EQ(read.max_position_embeddings, config.max_position_embeddings);
  EXPECT_EQ(read.eos_token_ids, config.eos_token_ids);
  EXPECT_EQ(read.pad_token_id, config.pad_token_id);
  EXPECT_EQ(read.dtype, config.dtype);
}

// Traces have recorded this hash.
TEST(ModelConfig, DecidesByTheKeysOfOlmoe) {
  const ModelConfig config = read_model_config(MOEXRAY_TEST_DATA "/olmoe-1b-7b");
  EXPECT_EQ(deciding_config(config),
            "architecture OlmoeForCausalLM\nclip_qkv null\nhidden_size 2048\n"
            "intermediate_size 1024\nnorm_topk_prob false\nnum_attention_heads 16\n"
            "num_experts 64\nnum_experts_per_tok 8\nnum_hidden_layers 16\n"
            "num_key_value_heads 16\nrms_norm_eps 1e-05\nrope_theta 10000\n"
            "tie_word_embeddings false\nvocab_size 50304\n");
}

TEST(ModelConfig, LetsTheGenerationConfigDecide) {
  ConfigFile file;
  const std::string config = test::config_json(test::tiny_config());
  file.set_generation(R"({"eos_token_id": [9, 10], "pad_token_id": 4, "bos_token_id": 3})");
  const ModelConfig read = file.read(config);
  EXPECT_EQ(read.eos_token_ids, (std::vector<TokenId>{9, 10}));
  EXPECT_EQ(read.pad_token_id, 4);
  EXPECT_EQ(read.bos_token_id, 3);
  file.set_generation(R"({"eos_token_id": null})");
  EXPECT_EQ(file.read(config).eos_token_ids, (std::vector<TokenId>{2}));
  file.set_generation(R"({"eos_token_id": "x"})");
  expect_error(ErrorKind::data, "generation_config.json: key \"eos_token_id\"",
               [&] { file.read(config); });
  // What it says has precedence, also where it is no token that could end anything.
  file.set_generation(R"({"eos_token_id": 64})");
  const ModelConfig strange = file.read(config);
  EXPECT_TRUE(strange.eos_token_ids.empty());
  ASSERT_EQ(strange.notices.size(), 1U);
  EXPECT_NE(
      strange.notices[0].find("generation_config.json: key \"eos_token_id\": 64 is no token of "
                              "the model (0 to 63) and is passed over"),
      std::string::npos)
      << strange.notices[0];
  file.set_generation("[]");
  expect_error(ErrorKind::data, "generation_config.json: wrong type", [&] { file.read(config); });
}

// What `_name_or_path` says is often where somebody trained the model.
TEST(ModelConfig, IsNamedAfterItsDirectoryAlone) {
  ConfigFile file;
  const std::string own = file.path().filename().string();
  for (const char* name : {"allenai/open_instruct_dev", "mini", "", "/home/someone/model"}) {
    EXPECT_EQ(file.read_with("_name_or_path", name).name, own) << name;
  }
}

TEST(ModelConfig, RefusesMalformedFiles) {
  ConfigFile file;
  expect_error(ErrorKind::data, "cannot open", [&] { read_model_config(file.path()); });
  expect_error(ErrorKind::data, "config.json: the file is empty", [&] { file.read(""); });
  expect_error(ErrorKind::data, "config.json:3:3: not valid JSON",
               [&] { file.read("{\n\"a\":1,\n  }"); });
  expect_error(ErrorKind::data, "wrong type: expected an object, found an array",
               [&] { file.read("[]"); });
  expect_error(ErrorKind::data, "missing", [&] { file.read("{}"); });
  expect_error(ErrorKind::data, "duplicate key: found \"a\"",
               [&] { file.read(R"({"a":1,"a":2})"); });
  expect_error(ErrorKind::data, "key \"a\": number out of range",
               [&] { file.read(R"({"a":1e999})"); });
  expect_error(ErrorKind::data, "not valid JSON", [&] { file.read(R"({"a":NaN})"); });
  expect_error(ErrorKind::data, "not valid JSON", [&] { file.read("{\"a\":\"\xFF\"}"); });
  expect_error(ErrorKind::data, "file too large", [&] { file.read(std::string(1 << 21, ' ')); });
}

TEST(ModelConfig, BoundsTheDepthOfItsJson) {
  ConfigFile file;
  json config = json::parse(test::config_json(test::tiny_config()));
  json nested = 1;
  for (int i = 0; i < 63; ++i) nested = json::array({nested});
  config["deep"] = nested;
  EXPECT_NO_THROW(file.read_json(config));
  config["deep"] = json::array({nested});
  expect_error(ErrorKind::data, "nested too deeply: expected at most 64 levels",
               [&] { file.read_json(config); });
  expect_error(ErrorKind::data, "nested too deeply",
               [&] { file.read("{\"a\":" + std::string(500'000, '[')); });
}

}  // namespace
}  // namespace moexray
