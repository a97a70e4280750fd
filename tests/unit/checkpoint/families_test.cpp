// The configs and tensor names of every family but OLMoE: both spellings, defaults, and what is
// refused.

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/checkpoint/config.h"
#include "moexray/checkpoint/safetensors_writer.h"
#include "moexray/core/file.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"

namespace moexray {
namespace {

using nlohmann::json;
using test::expect_error;

json family_config(const std::string& model_type) {
  json config = {{"model_type", model_type}, {"vocab_size", 97},
                 {"hidden_size", 24},        {"num_hidden_layers", 4},
                 {"num_attention_heads", 4}, {"num_key_value_heads", 2},
                 {"num_experts_per_tok", 3}, {"max_position_embeddings", 64},
                 {"intermediate_size", 20}};
  config[model_type.starts_with("granite") || model_type == "mixtral" ? "num_local_experts"
                                                                      : "num_experts"] = 7;
  if (model_type.starts_with("qwen")) config["moe_intermediate_size"] = 8;
  if (model_type == "qwen2_moe") config["shared_expert_intermediate_size"] = 14;
  if (model_type == "granitemoeshared") config["shared_intermediate_size"] = 14;
  return config;
}

ModelConfig read(const json& config) { return parse_model_config(config.dump(), "config.json"); }

ModelConfig read_with(const std::string& model_type, const json& changes = json::object()) {
  json config = family_config(model_type);
  config.update(changes);
  return read(config);
}

void refuse(const std::string& model_type, const json& changes, std::string_view part) {
  SCOPED_TRACE(model_type + changes.dump());
  expect_error(ErrorKind::data, part, [&] { read_with(model_type, changes); });
}

const LayerSpec& layer_of(const ModelConfig& config, std::size_t i = 0) {
  return config.spec.layers.at(i);
}

const std::vector<std::string> all_families = {"qwen3_moe",  "qwen2_moe",        "mixtral",
                                               "granitemoe", "granitemoeshared", "flex_olmo"};

TEST(Families, HaveTheDefaultsOfTransformers) {
  const ModelConfig qwen3 = read_with("qwen3_moe");
  EXPECT_EQ(qwen3.spec.final_norm.eps, 1e-6);
  EXPECT_EQ(layer_of(qwen3).attention.qk_norm, (QkNormSpec{{1e-6}, true}));
  EXPECT_EQ(layer_of(qwen3).attention.head_dim, 6);
  EXPECT_FALSE(layer_of(qwen3).attention.qkv_bias);
  EXPECT_EQ(layer_of(qwen3).attention.window, 0);
  EXPECT_FALSE(qwen3.spec.router().normalise);
  EXPECT_EQ(qwen3.spec.moe_layers().size(), 4U);

  const ModelConfig qwen2 = read_with("qwen2_moe");
  EXPECT_TRUE(layer_of(qwen2).attention.qkv_bias);
  EXPECT_FALSE(layer_of(qwen2).attention.output_bias);
  EXPECT_FALSE(layer_of(qwen2).attention.qk_norm.has_value());
  EXPECT_EQ(layer_of(qwen2).moe()->shared, (SharedExpertSpec{14, true}));

  const ModelConfig mixtral = read_with("mixtral", {{"norm_topk_prob", false}});
  EXPECT_EQ(layer_of(mixtral).attention.rotary.theta, 1e6);
  EXPECT_EQ(mixtral.spec.final_norm.eps, 1e-5);
  EXPECT_TRUE(mixtral.spec.router().normalise);
  EXPECT_TRUE(mixtral.spec.router().float32_weights);

  const ModelConfig granite = read_with("granitemoe");
  EXPECT_EQ(layer_of(granite).attention.scale, 1.0);
  EXPECT_EQ(granite.spec.embedding_scale, 1.0);
  EXPECT_EQ(granite.spec.router().softmax, SoftmaxOver::chosen);
  EXPECT_FALSE(layer_of(granite).moe()->shared.has_value());
  EXPECT_EQ(layer_of(read_with("granitemoeshared")).moe()->shared, (SharedExpertSpec{14, false}));
  EXPECT_FALSE(layer_of(read_with("granitemoeshared", {{"shared_intermediate_size", 0}}))
                   .moe()
                   ->shared.has_value());

  const ModelConfig flex = read_with("flex_olmo");
  EXPECT_EQ(layer_of(flex).attention.rotary.theta, 5e5);
  EXPECT_EQ(layer_of(flex).norm_place, NormPlace::after);
  EXPECT_EQ(layer_of(flex).attention.qk_norm, (QkNormSpec{{1e-6}, false}));
}

TEST(Families, AreReadInBothSpellings) {
  for (const std::string& type : all_families) {
    SCOPED_TRACE(type);
    json old_style = family_config(type);
    old_style["rope_theta"] = 500.0;
    old_style["rope_scaling"] = {
        {"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 16}};
    old_style["torch_dtype"] = "bfloat16";
    json new_style = family_config(type);
    new_style["rope_parameters"] = {{"rope_type", "yarn"},
                                    {"rope_theta", 500.0},
                                    {"factor", 4.0},
                                    {"original_max_position_embeddings", 16}};
    new_style["dtype"] = "bfloat16";
    for (const auto& [from, to] : {std::pair("num_experts", "num_local_experts"),
                                   std::pair("num_local_experts", "num_experts")}) {
      if (!old_style.contains(from)) continue;
      new_style[to] = new_style[from];
      new_style.erase(from);
      break;
    }
    const ModelConfig a = read(old_style), b = read(new_style);
    EXPECT_EQ(a.spec, b.spec);
    EXPECT_EQ(a.dtype, b.dtype);
    EXPECT_EQ(deciding_config(a), deciding_config(b));
    EXPECT_TRUE(std::holds_alternative<YarnScaling>(layer_of(a).attention.rotary.scaling));
  }
}

TEST(Families, HaveDenseLayersWhereTheConfigSays) {
  const auto places = [](const json& changes) {
    return read_with("qwen3_moe", changes).spec.moe_layers();
  };
  EXPECT_EQ(places({{"mlp_only_layers", {0, 2}}}), (std::vector<int>{1, 3}));
  EXPECT_EQ(places({{"decoder_sparse_step", 2}}), (std::vector<int>{1, 3}));
  EXPECT_EQ(places({{"decoder_sparse_step", 2}, {"mlp_only_layers", {1}}}), (std::vector<int>{3}));
  EXPECT_EQ(places({{"mlp_only_layers", json::array()}}), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(places({{"mlp_only_layers", nullptr}}).size(), 4U);
  const ModelConfig dense = read_with("qwen2_moe", {{"mlp_only_layers", {0}}});
  EXPECT_EQ(std::get<FeedForwardSpec>(layer_of(dense).mlp).width, 20);
  refuse("qwen3_moe", {{"decoder_sparse_step", 5}},
         "config.json: key \"decoder_sparse_step\": no layer has experts: there are no routers to "
         "trace: expected an MoE layer, found 5");
  refuse("qwen2_moe", {{"mlp_only_layers", {0, 1, 2, 3}}}, "no routers to trace");
  refuse("qwen2_moe", {{"decoder_sparse_step", 0}}, "key \"decoder_sparse_step\": wrong value");
  refuse("qwen2_moe", {{"mlp_only_layers", "all"}}, "key \"mlp_only_layers\": wrong type");
}

TEST(Families, HaveWindowsWhereTheConfigSays) {
  const auto windows = [](const std::string& type, const json& changes) {
    std::vector<int> all;
    for (const LayerSpec& layer : read_with(type, changes).spec.layers) {
      all.push_back(layer.attention.window);
    }
    return all;
  };
  using Windows = std::vector<int>;
  EXPECT_EQ(windows("mixtral", {{"sliding_window", 5}}), (Windows{5, 5, 5, 5}));
  EXPECT_EQ(windows("mixtral", {{"sliding_window", nullptr}}), (Windows{0, 0, 0, 0}));
  EXPECT_EQ(windows("qwen3_moe", {{"sliding_window", 5}}), (Windows{0, 0, 0, 0}));
  EXPECT_EQ(windows("qwen3_moe", {{"sliding_window", 5}, {"use_sliding_window", true}}),
            (Windows{5, 5, 5, 5}));
  EXPECT_EQ(windows("qwen3_moe", {{"use_sliding_window", true}}),
            (Windows{4096, 4096, 4096, 4096}));
  EXPECT_EQ(windows("qwen2_moe", {{"sliding_window", 0}}), (Windows{0, 0, 0, 0}));
  const json used = {{"sliding_window", 5}, {"use_sliding_window", true}};
  EXPECT_EQ(windows("qwen2_moe", used), (Windows{5, 0, 5, 0}));
  json below = used;
  below["max_window_layers"] = 1;
  EXPECT_EQ(windows("qwen2_moe", below), (Windows{5, 0, 0, 0}));
  json listed = used;
  listed["layer_types"] = {"full_attention", "sliding_attention", "sliding_attention",
                           "full_attention"};
  EXPECT_EQ(windows("qwen2_moe", listed), (Windows{0, 5, 5, 0}));
  listed["use_sliding_window"] = false;
  refuse("qwen2_moe", listed, "layer 1 has a window: expected use_sliding_window true");
  listed["layer_types"][1] = "linear_attention";
  refuse("qwen2_moe", listed, "layer 1 is not implemented");
  refuse("mixtral", {{"sliding_window", 0}}, "key \"sliding_window\": wrong value");
  refuse("mixtral", {{"sliding_window", 2.5}}, "key \"sliding_window\": wrong value");
}

TEST(Families, ReadRopeScaling) {
  const auto scaling = [](const json& rope, const json& more = json::object()) {
    json changes = more;
    changes["rope_scaling"] = rope;
    return layer_of(read_with("mixtral", changes)).attention.rotary.scaling;
  };
  EXPECT_EQ(scaling({{"type", "linear"}, {"factor", 2.5}}), RotaryScaling(LinearScaling{2.5}));
  EXPECT_EQ(scaling({{"rope_type", "llama3"},
                     {"factor", 8},
                     {"low_freq_factor", 1},
                     {"high_freq_factor", 4},
                     {"original_max_position_embeddings", 32}}),
            RotaryScaling(Llama3Scaling{8, 1, 4, 32}));
  // Where it stands outside too, that counts; where it stands nowhere, the whole context does.
  const json yarn = {{"type", "yarn"}, {"factor", 4}};
  const auto positions = [&](const json& more) {
    return std::get<YarnScaling>(scaling(yarn, more)).original_positions;
  };
  EXPECT_EQ(positions({{"original_max_position_embeddings", 12}}), 12);
  EXPECT_EQ(positions(json::object()), 64);
  const auto by_ratio = std::get<YarnScaling>(
      scaling({{"type", "yarn"}, {"factor", nullptr}, {"original_max_position_embeddings", 16}}));
  EXPECT_EQ(by_ratio.factor, 4);
  EXPECT_EQ(
      std::get<YarnScaling>(scaling({{"type", "yarn"}, {"factor", 4}, {"attention_factor", 0.5}}))
          .amplitude,
      0.5);
  const auto bad = [](const json& rope, std::string_view part) {
    refuse("mixtral", {{"rope_scaling", rope}}, part);
  };
  bad({{"type", "linear"}},
      "key \"rope_scaling\": key \"factor\": missing: expected a number from 1e-6 to 1e6");
  bad({{"type", "linear"}, {"factor", 0}}, "key \"factor\": wrong value");
  bad({{"type", "linear"}, {"factor", 1e-300}}, "key \"factor\": wrong value");
  bad({{"type", "linear"}, {"factor", "2"}}, "key \"factor\": wrong type");
  bad({{"type", "llama3"}, {"factor", 8}}, "key \"low_freq_factor\": missing");
  bad({{"type", "llama3"}, {"factor", 8}, {"low_freq_factor", 4}, {"high_freq_factor", 4}},
      "key \"high_freq_factor\": wrong value: expected more than low_freq_factor");
  bad({{"type", "longrope"}, {"factor", 8}},
      "key \"type\": this rope scaling is not implemented: expected \"default\", \"linear\", "
      "\"llama3\" or \"yarn\", found \"longrope\"");
  bad({{"type", "yarn"}, {"factor", 8}, {"original_max_position_embeddings", 0}},
      "key \"original_max_position_embeddings\": wrong value");
  bad({{"type", "yarn"}, {"factor", 8}, {"mscale", -40}, {"mscale_all_dim", 1}},
      "key \"mscale\": wrong value");
  bad({{"type", "yarn"}, {"factor", 8}, {"partial_rotary_factor", 0.5}},
      "key \"partial_rotary_factor\": not implemented");
  refuse("mixtral", {{"rope_scaling", yarn}, {"rope_theta", 1}},
         "key \"rope_theta\": wrong value: expected more than 1");
  refuse("mixtral", {{"rope_scaling", yarn}, {"rope_parameters", {{"rope_type", "default"}}}},
         "key \"rope_parameters\": disagrees with rope_scaling");
}

TEST(Families, RefuseSettingsThatTheyDoNotCompute) {
  for (const std::string& type : all_families) {
    refuse(type, {{"hidden_act", "gelu"}},
           "key \"hidden_act\": not implemented: expected \"silu\"");
    refuse(type, {{"num_experts_per_tok", 8}}, "integer from 1 to 7, found 8");
    refuse(type, {{"num_experts_per_tok", 0}}, "integer from 1 to 7, found 0");
    refuse(type, {{"num_key_value_heads", 3}}, "does not divide num_attention_heads");
    refuse(type, {{"head_dim", 5}}, "heads of even width");
    refuse(type, {{"hidden_size", 26}}, "does not divide hidden_size");
    refuse(type, {{"rms_norm_eps", -1}}, "a number from 0 to 1");
    refuse(type, {{"quantization_config", {{"quant_method", "gptq"}}}},
           "key \"quantization_config\": quantised weights are not implemented: expected a "
           "checkpoint in bfloat16, float16 or float32: mostly the repository from which this one "
           "was quantised, found \"gptq\"");
    refuse(type, {{"quantization", {{"bits", 4}}}}, "key \"quantization\": quantised weights");
  }
  for (const char* key :
       {"embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"}) {
    const std::string where = "key \"" + std::string(key) + "\": wrong ";
    for (const json& value : {json(0), json(-1), json(1e-9), json(1e9)}) {
      refuse("granitemoe", {{key, value}}, where + "value: expected a number from 1e-6 to 1e6");
    }
    refuse("granitemoe", {{key, "1"}}, where + "type");
  }
  refuse("granitemoeshared", {{"shared_intermediate_size", -1}}, "wrong value");
  refuse("qwen2_moe", {{"shared_expert_intermediate_size", 0}}, "wrong value");
  refuse("mixtral", {{"num_experts", 8}}, "disagrees with num_experts: expected 8, found 7");
  EXPECT_EQ(
      layer_of(read_with("mixtral", {{"hidden_size", 26}, {"head_dim", 6}})).attention.head_dim, 6);
}

// --- What is not computed

TEST(Unsupported, TypesSayWhatIsMissing) {
  const auto expect = [](const json& config, const std::string& part) {
    expect_error(ErrorKind::data, part, [&] { read(config); });
  };
  const std::map<std::string, std::string> types = {
      {"qwen3_next", "3 of 4 layers are linear attention (a gated delta net)"},
      {"qwen3_5_moe", "gated delta net"},
      {"kimi_linear", "gated delta net"},
      {"granitemoehybrid", "most layers are Mamba layers"},
      {"jamba", "Mamba"},
      {"nemotron_h", "Mamba"},
      {"minimax", "lightning attention"},
      {"bailing_hybrid", "linear attention"},
      {"lfm2_moe", "short convolutions"},
      {"switch_transformers", "an encoder and a decoder"},
      {"nllb_moe", "an encoder and a decoder"},
      {"jetmoe", "a second router of each layer"},
      {"smallthinker", "before attention"},
      {"llama4", "its attention is in chunks"},
      {"longcat_flash", "zero experts"},
      {"deepseek_v32", "sparse attention"},
      {"deepseek_v4", "sparse attention"},
      {"glm_moe_dsa", "sparse attention"},
      {"deepseek_v2", "latent space (MLA)"},
      {"deepseek_v3", "latent space (MLA)"},
      {"gpt_oss", "sinks"},
      {"phimoe", "SparseMixer"},
      {"glm4_moe", "correction bias"},
      {"gemma4", "a language model for images"},
      {"qwen3_vl_moe", "a language model for images"},
      {"ernie4_5_vl_moe", "a language model for images"},
      {"mistral4", "a language model for images"},
      {"dbrx", "one matrix"},
  };
  for (const auto& [type, what] : types) {
    SCOPED_TRACE(type);
    const json config = {{"model_type", type}, {"num_experts", 8}};
    expect(config, "config.json: key \"model_type\": architecture is not implemented: ");
    expect(config, what);
    expect(config,
           "\"olmoe\", \"flex_olmo\", \"mixtral\", \"qwen2_moe\", \"qwen3_moe\", "
           "\"granitemoe\" or \"granitemoeshared\", found \"" +
               type + "\"");
  }
  expect({{"model_type", "new_vl"}, {"text_config", json::object()}},
         "it wraps a language model for images");
  expect({{"model_type", "llama"}},
         "it has no experts (a dense model), and so no routers to trace");
  expect({{"model_type", "odd"}, {"num_experts", 8}, {"is_encoder_decoder", true}},
         "an encoder and a decoder");
  json layers = {{"model_type", "qwen3_next"}, {"num_experts", 8}};
  layers["layer_types"] = {"linear_attention", "linear_attention", "linear_attention",
                           "full_attention",   "linear_attention", "linear_attention",
                           "linear_attention", "full_attention"};
  expect(layers,
         "which moexray does not compute: \"linear_attention\" in layers 0-2 and others (6 of 8)");
  layers["model_type"] = "unheard_of";
  layers["layer_types"] = {"full_attention", "mamba"};
  expect(layers, "not implemented: \"mamba\" in layer 1 (1 of 2), which moexray does not compute");
}

// --- Checkpoints

// Writes a family's checkpoint with random weights in one of its layouts.
void write_family(const std::filesystem::path& directory, const json& text, ExpertLayout layout,
                  const std::vector<TensorSpec>& more = {}) {
  std::filesystem::create_directories(directory);
  write_file_atomically(directory / "config.json", text.dump());
  std::vector<TensorSpec> specs = expected_tensors(read(text), layout);
  specs.insert(specs.end(), more.begin(), more.end());
  std::vector<std::vector<std::byte>> storage;
  std::vector<TensorToWrite> tensors;
  for (const TensorSpec& spec : specs) {
    storage.push_back(test::random_bytes(spec, {}));
    tensors.push_back({spec.name, "F32", spec.shape, storage.back()});
  }
  write_safetensors(directory / "model.safetensors", tensors, {});
}

// As save_pretrained of transformers 5.24 names them, by default and with save_original_format
// False.
TEST(FamilyCheckpoints, HaveTheNamesOfTransformers) {
  struct Names {
    const char* type;
    std::vector<std::string> published, fused;
  };
  const std::string layer = "model.layers.0.";
  const std::vector<Names> all = {
      {"qwen3_moe",
       {layer + "mlp.gate.weight", layer + "mlp.experts.6.down_proj.weight",
        layer + "self_attn.q_norm.weight"},
       {layer + "mlp.gate.weight", layer + "mlp.experts.gate_up_proj",
        layer + "mlp.experts.down_proj"}},
      {"qwen2_moe",
       {layer + "self_attn.q_proj.bias", layer + "mlp.shared_expert.up_proj.weight",
        layer + "mlp.shared_expert_gate.weight"},
       {layer + "mlp.shared_expert_gate.weight", layer + "mlp.experts.gate_up_proj"}},
      {"mixtral",
       {layer + "block_sparse_moe.gate.weight", layer + "block_sparse_moe.experts.3.w2.weight"},
       {layer + "mlp.gate.weight", layer + "mlp.experts.gate_up_proj",
        layer + "mlp.experts.down_proj"}},
      {"granitemoe",
       {layer + "block_sparse_moe.router.layer.weight",
        layer + "block_sparse_moe.input_linear.weight",
        layer + "block_sparse_moe.output_linear.weight"},
       {layer + "block_sparse_moe.router.weight", layer + "block_sparse_moe.experts.gate_up_proj",
        layer + "block_sparse_moe.experts.down_proj"}},
      {"granitemoeshared",
       {layer + "shared_mlp.input_linear.weight", layer + "shared_mlp.output_linear.weight"},
       {layer + "shared_mlp.input_linear.weight", layer + "shared_mlp.output_linear.weight"}},
      {"flex_olmo",
       {layer + "post_attention_layernorm.weight", layer + "post_feedforward_layernorm.weight"},
       {layer + "mlp.experts.gate_up_proj"}},
  };
  for (const Names& names : all) {
    SCOPED_TRACE(names.type);
    const ModelConfig config = read_with(names.type);
    for (const ExpertLayout layout : {ExpertLayout::separate, ExpertLayout::fused}) {
      std::set<std::string> stored;
      for (const TensorSpec& tensor : expected_tensors(config, layout)) stored.insert(tensor.name);
      for (const std::string& name :
           layout == ExpertLayout::separate ? names.published : names.fused) {
        EXPECT_TRUE(stored.contains(name)) << name;
      }
    }
  }
}

TEST(FamilyCheckpoints, AreTheSameWeightsInBothLayouts) {
  for (const std::string& type : all_families) {
    SCOPED_TRACE(type);
    const json text = family_config(type);
    const auto a = weight_slots(read(text)), b = weight_slots(read(text), ExpertLayout::fused);
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].name, b[i].name);
      EXPECT_EQ(a[i].role, b[i].role);
      EXPECT_EQ(a[i].shape, b[i].shape);
      EXPECT_LE(b[i].first + n_values(b[i].shape), n_values(b[i].stored));
    }
    for (const ExpertLayout layout : {ExpertLayout::separate, ExpertLayout::fused}) {
      const test::TemporaryDirectory directory;
      write_family(directory.path(), text, layout);
      const Checkpoint checkpoint(directory.path());
      EXPECT_EQ(checkpoint.expert_layout(), layout);
      EXPECT_EQ(checkpoint.tensors().size(), a.size());
    }
  }
}

TEST(FamilyCheckpoints, NameTensorsThatDoNotFit) {
  const test::TemporaryDirectory directory;
  json text = family_config("granitemoe");
  write_family(directory.path() / "a", text, ExpertLayout::separate,
               {{"model.layers.0.shared_mlp.input_linear.weight", {28, 24}}});
  expect_error(ErrorKind::data,
               "model.layers.0.shared_mlp.input_linear.weight: not part of this model",
               [&] { Checkpoint(directory.path() / "a"); });
  write_family(directory.path() / "b", text, ExpertLayout::separate);
  text["num_local_experts"] = 8;
  write_file_atomically(directory.path() / "b" / "config.json", text.dump());
  expect_error(ErrorKind::data,
               "model.layers.0.block_sparse_moe.input_linear.weight: expected [8, 40, 24], found "
               "[7, 40, 24]",
               [&] { Checkpoint(directory.path() / "b"); });
  json biased = family_config("flex_olmo");
  write_family(directory.path() / "c", biased, ExpertLayout::fused);
  biased["attention_bias"] = true;
  write_file_atomically(directory.path() / "c" / "config.json", biased.dump());
  expect_error(ErrorKind::data, "model.layers.0.self_attn.k_proj.bias: missing, expected [12]",
               [&] { Checkpoint(directory.path() / "c"); });
}

TEST(FamilyCheckpoints, PassOverMultiTokenPrediction) {
  const test::TemporaryDirectory directory;
  json text = family_config("qwen3_moe");
  const std::vector<TensorSpec> more = {{"model.layers.4.eh_proj.weight", {24, 48}},
                                        {"mtp.norm.weight", {24}}};
  write_family(directory.path(), text, ExpertLayout::separate, more);
  expect_error(ErrorKind::data, "model.layers.4.eh_proj.weight: not part of this model",
               [&] { Checkpoint(directory.path()); });
  text["num_nextn_predict_layers"] = 1;
  write_file_atomically(directory.path() / "config.json", text.dump());
  const Checkpoint checkpoint(directory.path());
  ASSERT_EQ(checkpoint.config().notices.size(), 1U);
  EXPECT_NE(checkpoint.config().notices[0].find("2 tensors of multi-token prediction passed over"),
            std::string::npos)
      << checkpoint.config().notices[0];
  EXPECT_FALSE(checkpoint.tensors().contains("mtp.norm.weight"));
}

}  // namespace
}  // namespace moexray
