#include "moexray/architecture/table.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>

#include "moexray/checkpoint/config.h"
#include "support/double_architecture.h"
#include "support/expect_error.h"
#include "support/tiny_checkpoint.h"

namespace moexray {
namespace {

using test::expect_error;

ModelConfig double_config() {
  return parse_model_config(test::double_config_json(), "config.json", test::double_table());
}

// Its config with one part of the text replaced.
ModelConfig changed_double(const std::string& before, const std::string& after) {
  std::string text = test::double_config_json();
  const std::size_t at = text.find(before);
  EXPECT_NE(at, std::string::npos) << before;
  return parse_model_config(text.replace(at, before.size(), after), "config.json",
                            test::double_table());
}

TEST(Architectures, AreFoundByNameOrType) {
  const auto find = [](const char* text) -> std::string_view {
    return find_architecture(ConfigReader(text, "f")).name;
  };
  EXPECT_EQ(find(R"({"model_type": "olmoe"})"), "OlmoeForCausalLM");
  EXPECT_EQ(find(R"({"architectures": ["OlmoeForCausalLM"]})"), "OlmoeForCausalLM");
  EXPECT_EQ(find(R"({"architectures": ["OlmoeForCausalLM"], "model_type": "olmoe"})"),
            "OlmoeForCausalLM");
  expect_error(ErrorKind::data,
               "f: key \"architectures\": missing: expected "
               "[\"OlmoeForCausalLM\"], [\"FlexOlmoForCausalLM\"], ",
               [&] { find("{}"); });
  expect_error(ErrorKind::data,
               "f: key \"model_type\": architecture is not implemented: expected \"olmoe\", "
               "\"flex_olmo\", \"mixtral\", \"qwen2_moe\", \"qwen3_moe\", \"granitemoe\" or "
               "\"granitemoeshared\", found \"x\"",
               [&] { find(R"({"model_type": "x", "num_experts": 8})"); });
}

TEST(Architectures, MustNotContradictTheType) {
  const std::vector<Architecture> both = {architectures().front(), test::double_table().front()};
  const ConfigReader config(R"({"architectures": ["OlmoeForCausalLM"], "model_type": "double"})",
                            "f");
  expect_error(ErrorKind::data,
               "f: key \"architectures\": contradicts model_type \"double\": expected "
               "[\"DoubleForCausalLM\"], found \"OlmoeForCausalLM\"",
               [&] { find_architecture(config, both); });
  expect_error(ErrorKind::data, "expected \"olmoe\" or \"double\", found \"x\"",
               [&] { find_architecture(ConfigReader(R"({"model_type": "x"})", "f"), both); });
}

TEST(Architectures, NeedAFileAndARow) {
  const ModelConfig config = double_config();
  EXPECT_EQ(config.architecture->name, "DoubleForCausalLM");
  EXPECT_EQ(config.spec.moe_layers(), (std::vector<int>{1, 2}));
  EXPECT_EQ(config.routing_shape(), (RoutingShape{2, 5, 2}));
  EXPECT_EQ(config.eos_token_ids, (std::vector<TokenId>{2}));
  EXPECT_EQ(config.max_position_embeddings, 64);
  expect_error(ErrorKind::data, "not a plain OLMoE model", [&] { olmoe_config_json(config); });
}

TEST(Spec, DecidesSizes) {
  const ModelSpec spec = double_config().spec;
  EXPECT_EQ(n_cache_values(spec), 3 * 2 * 2 * 6);  // layers · (keys, values) · heads · width
  EXPECT_EQ(cache_shape(spec.layers[0].attention, 7), (std::array<std::int64_t, 3>{2, 7, 6}));
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(weight_shape(spec, WeightRole::embedding), (Shape{40, 20}));
  EXPECT_EQ(weight_shape(spec, WeightRole::query, 0), (Shape{24, 20}));
  EXPECT_EQ(weight_shape(spec, WeightRole::output, 0), (Shape{20, 24}));
  EXPECT_EQ(weight_shape(spec, WeightRole::key_norm, 0), (Shape{6}));
  EXPECT_EQ(weight_shape(spec, WeightRole::gate, 0), (Shape{26, 20}));  // dense
  EXPECT_EQ(weight_shape(spec, WeightRole::gate, 1), (Shape{10, 20}));
  EXPECT_EQ(weight_shape(spec, WeightRole::shared_down, 1), (Shape{20, 14}));
}

TEST(WeightSlots, AreTheSameWeightsInBothLayouts) {
  const ModelConfig config = double_config();
  const auto separate = weight_slots(config), fused = weight_slots(config, ExpertLayout::fused);
  ASSERT_EQ(separate.size(), fused.size());
  std::set<std::string> names;
  for (std::size_t i = 0; i < separate.size(); ++i) {
    EXPECT_EQ(separate[i].role, fused[i].role);
    EXPECT_EQ(separate[i].name, fused[i].name);
    EXPECT_EQ(separate[i].shape, fused[i].shape);
    EXPECT_EQ(separate[i].tensor, separate[i].name);
    EXPECT_TRUE(names.insert(separate[i].name).second) << separate[i].name;
    EXPECT_LE(fused[i].first + n_values(fused[i].shape), n_values(fused[i].stored));
  }
  EXPECT_TRUE(names.contains("h.0.dense.gate"));
  EXPECT_FALSE(names.contains("h.0.router"));
  EXPECT_TRUE(names.contains("h.2.e.4.w3"));
  // The slices of a fused tensor fill it.
  std::int64_t filled = 0;
  for (const WeightSlot& slot : fused) {
    if (slot.tensor == "h.1.e.w13") {
      EXPECT_EQ(slot.first, filled);
      EXPECT_EQ(slot.stored, (std::vector<std::int64_t>{5, 20, 20}));
      filled += n_values(slot.shape);
    }
  }
  EXPECT_EQ(filled, 5 * 20 * 20);
}

TEST(WeightSlots, CountParameters) {
  const ModelConfig config = double_config();
  const std::int64_t expert = 3 * 10 * 20, attention = 20 * (24 + 12 + 12) + 24 * 20 + 2 * 6;
  const std::int64_t moe = 5 * 20 + 3 * 14 * 20;
  const std::int64_t rest = 2 * 40 * 20 + 20 + 3 * (attention + 2 * 20) + 3 * 26 * 20 + 2 * moe;
  EXPECT_EQ(count_parameters(config).total, rest + 2 * 5 * expert);
  EXPECT_EQ(count_parameters(config).active, rest + 2 * 2 * expert);
  const ModelConfig tied = changed_double("\"depth\"", "\"tied\": true, \"depth\"");
  EXPECT_EQ(count_parameters(tied).total, rest + 2 * 5 * expert - 40 * 20);
}

TEST(Spec, IsCheckedWhateverTheFamilyReads) {
  const auto refuse = [](std::string_view part, const std::string& before,
                         const std::string& after) {
    expect_error(ErrorKind::data, part, [&] { changed_double(before, after); });
  };
  refuse("config.json: key \"layers\": wrong length: expected a list of 3 strings, found 2",
         R"(["dense", "moe", "moe"])", R"(["dense", "moe"])");
  refuse("config.json: layer 0: key-value heads: expected a divisor of 4, found 3",
         R"("kv_heads": 2)", R"("kv_heads": 3)");
  refuse("config.json: layer 0: key-value heads: expected 1 to 4, found 8", R"("kv_heads": 2)",
         R"("kv_heads": 8)");
  refuse("config.json: layer 0: rotary width: expected an even number from 0 to 6, found 3",
         R"("rotary_width": 4)", R"("rotary_width": 3)");
  refuse("config.json: no layer has experts: expected an MoE layer", R"(["dense", "moe", "moe"])",
         R"(["dense", "dense", "dense"])");
  refuse("config.json: layer 1: chosen experts: expected 1 to 5, found 6", R"("chosen": 2)",
         R"("chosen": 6)");
  refuse("config.json: key \"quantization_config\": quantised weights are not implemented",
         R"("vocab")", R"("quantization_config": {}, "vocab")");
}

TEST(Spec, MustHaveRoutersOfOneKind) {
  ModelSpec spec = double_config().spec;
  EXPECT_NO_THROW(check_spec(spec, "f"));
  std::get<MoeSpec>(spec.layers[2].mlp).router.top_k = 1;
  expect_error(ErrorKind::data, "f: layer 2: another router than in the layers before",
               [&] { check_spec(spec, "f"); });
  spec = double_config().spec;
  spec.layers.assign(1000, spec.layers[1]);
  for (LayerSpec& layer : spec.layers) std::get<MoeSpec>(layer.mlp).router.n_experts = 60'000;
  expect_error(ErrorKind::data, "f: too many experts in all layers together",
               [&] { check_spec(spec, "f"); });
}

// Whatever changes the computation changes the text.
TEST(Spec, DecidesTheHashOfTheConfig) {
  std::set<std::string> texts;
  const auto expect_new = [&](const std::function<void(ModelSpec&)>& change) {
    ModelConfig config = double_config();
    change(config.spec);
    EXPECT_TRUE(texts.insert(deciding_config(config)).second) << deciding_config(config);
  };
  const auto attention = [&](auto change) {
    expect_new([&](ModelSpec& s) { change(s.layers[2].attention); });
  };
  const auto moe = [&](auto change) {
    expect_new([&](ModelSpec& s) { change(std::get<MoeSpec>(s.layers[2].mlp)); });
  };
  expect_new([](ModelSpec&) {});
  expect_new([](ModelSpec& s) { s.vocab_size = 41; });
  expect_new([](ModelSpec& s) { s.hidden_size = 21; });
  expect_new([](ModelSpec& s) { s.tied_embeddings = true; });
  expect_new([](ModelSpec& s) { s.final_norm.eps = 1e-3; });
  expect_new([](ModelSpec& s) { s.layers[1].norm.eps = 1e-3; });
  expect_new([](ModelSpec& s) { s.layers.pop_back(); });
  expect_new([](ModelSpec& s) { s.layers[0].mlp = FeedForwardSpec{27}; });
  expect_new([](ModelSpec& s) { s.layers[0].mlp = s.layers[1].mlp; });
  attention([](AttentionSpec& a) { a.n_heads = 2; });
  attention([](AttentionSpec& a) { a.n_kv_heads = 4; });
  attention([](AttentionSpec& a) { a.head_dim = 8; });
  attention([](AttentionSpec& a) { a.clip = 8; });
  attention([](AttentionSpec& a) { a.qk_norm.reset(); });
  attention([](AttentionSpec& a) { a.qk_norm->per_head = false; });
  attention([](AttentionSpec& a) { a.qk_norm->norm.eps = 1e-3; });
  attention([](AttentionSpec& a) { a.rotary.dim = 2; });
  attention([](AttentionSpec& a) { a.rotary.theta = 7; });
  attention([](AttentionSpec& a) { a.rotary.scaling = LinearScaling{2}; });
  attention([](AttentionSpec& a) { a.rotary.scaling = LinearScaling{3}; });
  attention([](AttentionSpec& a) { a.rotary.scaling = Llama3Scaling{2, 1, 4, 8}; });
  attention([](AttentionSpec& a) { a.rotary.scaling = Llama3Scaling{2, 2, 4, 8}; });
  attention([](AttentionSpec& a) { a.rotary.scaling = Llama3Scaling{2, 1, 5, 8}; });
  attention([](AttentionSpec& a) { a.rotary.scaling = Llama3Scaling{2, 1, 4, 9}; });
  attention([](AttentionSpec& a) { a.rotary.scaling = YarnScaling{2, 32, 1, true, 1, 8}; });
  attention([](AttentionSpec& a) { a.rotary.scaling = YarnScaling{2, 31, 1, true, 1, 8}; });
  attention([](AttentionSpec& a) { a.rotary.scaling = YarnScaling{2, 32, 2, true, 1, 8}; });
  attention([](AttentionSpec& a) { a.rotary.scaling = YarnScaling{2, 32, 1, false, 1, 8}; });
  attention([](AttentionSpec& a) { a.rotary.scaling = YarnScaling{2, 32, 1, true, 2, 8}; });
  attention([](AttentionSpec& a) { a.rotary.scaling = YarnScaling{2, 32, 1, true, 1, 9}; });
  attention([](AttentionSpec& a) { a.scale = 0.5; });
  attention([](AttentionSpec& a) { a.window = 5; });
  attention([](AttentionSpec& a) { a.qkv_bias = true; });
  attention([](AttentionSpec& a) { a.output_bias = true; });
  expect_new([](ModelSpec& s) { s.layers[1].norm_place = NormPlace::after; });
  expect_new([](ModelSpec& s) { s.embedding_scale = 2; });
  expect_new([](ModelSpec& s) { s.residual_scale = 2; });
  expect_new([](ModelSpec& s) { s.logit_divisor = 2; });
  moe([](MoeSpec& m) { m.router.n_experts = 6; });
  moe([](MoeSpec& m) { m.router.top_k = 1; });
  moe([](MoeSpec& m) { m.router.normalise = false; });
  moe([](MoeSpec& m) { m.expert.width = 11; });
  moe([](MoeSpec& m) { m.shared.reset(); });
  moe([](MoeSpec& m) { m.shared->width = 15; });
  moe([](MoeSpec& m) { m.shared->gated = true; });
  moe([](MoeSpec& m) { m.router.softmax = SoftmaxOver::chosen; });
  moe([](MoeSpec& m) { m.router.float32_weights = true; });
}

}  // namespace
}  // namespace moexray
