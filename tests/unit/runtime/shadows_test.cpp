#include "moexray/runtime/shadows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "moexray/core/error.h"
#include "support/expect_error.h"
#include "support/fake_model.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"

namespace moexray {
namespace {

using test::expect_error;
using texts = std::vector<std::string>;

std::vector<ShadowSpec> parsed(const std::vector<std::string>& texts) {
  return parse_shadows(texts);
}

TEST(ShadowSpecs, AreRead) {
  const auto specs = parsed({"random:3,14", "permuted-dims:0", "router:some/where/"});
  ASSERT_EQ(specs.size(), 4U);
  EXPECT_EQ(specs[1].text(), "random:14");
  EXPECT_EQ(specs[2].text(), "permuted-dims:0");
  EXPECT_EQ(specs[3].text(), "router:where");
  const auto usual = parsed({"random"});
  ASSERT_EQ(usual.size(), 20U);
  EXPECT_EQ(usual.front().text(), "random:1");
  EXPECT_EQ(usual.back().text(), "random:20");
  for (const char* wrong : {"", "random:", "random:1,", "random:-1", "random:1.5", "permuted-dims",
                            "router:", "other:1", "random:99999999999999999999"}) {
    expect_error(ErrorKind::usage, "--shadow", [&] { parsed({wrong}); });
  }
  expect_error(ErrorKind::usage, texts{"twice", "random:2"},
               [&] { parsed({"random", "random:2"}); });
}

TEST(ShadowSpecs, PromptsForACalibrationAreSpread) {
  EXPECT_EQ(spread_order(0), std::vector<std::size_t>{});
  EXPECT_EQ(spread_order(1), std::vector<std::size_t>{0});
  EXPECT_EQ(spread_order(6), (std::vector<std::size_t>{0, 4, 2, 1, 5, 3}));
  for (const std::size_t n : {2U, 5U, 8U, 80U}) {
    auto order = spread_order(n);
    ASSERT_EQ(order.size(), n);
    std::sort(order.begin(), order.end());
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(order[i], i);
  }
}

// A router [2, 6] in float32.
struct SmallRouter {
  std::vector<float> values = {3, 0, -4, 0, 0, 0, 1, 2, 3, 4, 5, 6};
  TensorView view() const { return {WeightType::f32, {2, 6}, std::as_bytes(std::span(values))}; }
};

std::vector<float> floats_of(const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

double norm(std::span<const float> row) {
  double squares = 0;
  for (const float value : row) squares += double{value} * double{value};
  return std::sqrt(squares);
}

TEST(ShadowRouterWeights, RandomRowsHaveTheNormsOfTheOwn) {
  const SmallRouter own;
  const std::vector<float> values = floats_of(random_router(own.view(), 0, 1));
  ASSERT_EQ(values.size(), 12U);
  const std::span<const float> all = values;
  EXPECT_NEAR(norm(all.first(6)), 5, 1e-5);
  EXPECT_NEAR(norm(all.last(6)), std::sqrt(91.0), 1e-5);
  EXPECT_EQ(random_router(own.view(), 0, 1), random_router(own.view(), 0, 1));
  EXPECT_NE(random_router(own.view(), 0, 1), random_router(own.view(), 0, 2));
  EXPECT_NE(random_router(own.view(), 0, 1), random_router(own.view(), 1, 1));
}

TEST(ShadowRouterWeights, PermutedDimensionsKeepRowsTogether) {
  const SmallRouter own;
  const std::vector<float> values = floats_of(permuted_router(own.view(), 3, 5));
  // Column by column the pairs of both rows are those of the own router.
  std::vector<std::pair<float, float>> before, after;
  for (std::size_t i = 0; i < 6; ++i) {
    before.emplace_back(own.values[i], own.values[6 + i]);
    after.emplace_back(values[i], values[6 + i]);
  }
  EXPECT_NE(before, after);
  std::sort(before.begin(), before.end());
  std::sort(after.begin(), after.end());
  EXPECT_EQ(before, after);
}

TEST(ShadowRouterWeights, HaveTheTypeOfTheOwn) {
  // 1, −2, 0.5 and 3 in bfloat16.
  const std::vector<std::uint16_t> bits = {0x3F80, 0xC000, 0x3F00, 0x4040};
  const TensorView view{WeightType::bf16, {1, 4}, std::as_bytes(std::span(bits))};
  EXPECT_EQ(random_router(view, 0, 1).size(), 8U);
  std::vector<std::uint16_t> permuted(4);
  const auto bytes = permuted_router(view, 0, 1);
  std::memcpy(permuted.data(), bytes.data(), 8);
  std::sort(permuted.begin(), permuted.end());
  EXPECT_EQ(permuted, (std::vector<std::uint16_t>{0x3F00, 0x3F80, 0x4040, 0xC000}));
}

class ShadowRoutersOf : public testing::Test {
 protected:
  ShadowRoutersOf() {
    test::write_tiny_checkpoint(temporary_.path() / "m", test::tiny_config());
    config_ = test::tiny_config();
  }
  std::filesystem::path path(const std::string& name) const { return temporary_.path() / name; }

  test::OlmoeConfig config_;
  test::TemporaryDirectory temporary_;
};

TEST_F(ShadowRoutersOf, ASeedMakesTwoForms) {
  const Checkpoint checkpoint(path("m"));
  const ShadowRouters routers(
      parsed({"random:1", "permuted-dims:1", "router:" + path("m").string()}), checkpoint);
  std::vector<std::string> names;
  for (const ManifestShadow& shadow : routers.shadows()) {
    names.push_back(shadow.router + " " + shadow.form);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"random:1 plain", "random:1 load matched",
                                             "permuted-dims:1 plain",
                                             "permuted-dims:1 load matched", "router:m plain"}));
  EXPECT_EQ(routers.shadows()[0].weights_sha256, routers.shadows()[1].weights_sha256);
  EXPECT_EQ(routers.shadows()[4].weights_sha256, checkpoint.router_sha256());
}

TEST_F(ShadowRoutersOf, AnotherShapeIsRefused) {
  config_.num_experts = 4;
  test::write_tiny_checkpoint(path("other"), config_);
  const Checkpoint checkpoint(path("m"));
  expect_error(ErrorKind::data, texts{"other", "2 layers of 8 experts", "2 layers of 4 experts"},
               [&] { ShadowRouters(parsed({"router:" + path("other").string()}), checkpoint); });
  ShadowRouters routers(parsed({"random:1"}), checkpoint);
  expect_error(ErrorKind::data, "biases", [&] { routers.set_biases({{}, {1.0F}}); });
}

TEST(GenerationWithShadows, CollectsWhatEachChose) {
  test::FakeModel model;
  const std::byte own_byte{0}, other_byte{7};
  const auto own = model.prepare_shadow({{{WeightType::f32, {1}, std::span(&own_byte, 1)}}});
  const auto other = model.prepare_shadow({{{WeightType::f32, {1}, std::span(&other_byte, 1)}}});
  const std::vector<TokenId> tokens = {5, 9, 4, 33}, more = {7, 7, 7, 1, 2, 3, 9};
  const std::vector<GenerationInput> inputs = {{"a", tokens}, {"b", more}};
  GenerationOptions options;
  options.max_new_tokens = 5;
  options.shadows = {{own.get(), {}}, {other.get(), {}}};
  options.shadow_events = true;
  options.max_tokens_per_pass = 3;
  const auto outputs = generate(model, inputs, options, std::atomic<bool>(false));
  for (const GenerationOutput& output : outputs) {
    ASSERT_EQ(output.shadows.size(), 2U);
    ASSERT_EQ(output.shadow_routing.size(), 2U);
    int n_differ = 0;
    for (int layer = 0; layer < 3; ++layer) {
      for (std::int64_t pos = 0; pos < output.routing.n_positions(); ++pos) {
        const auto chosen = output.routing.experts(layer, pos);
        EXPECT_TRUE(std::ranges::equal(output.shadow_routing[0].experts(layer, pos), chosen));
        std::vector<std::uint16_t> sorted(chosen.begin(), chosen.end()), set(2), set2(2);
        std::sort(sorted.begin(), sorted.end());
        output.shadows[0].read(layer, pos, set);
        EXPECT_EQ(set, sorted);
        output.shadows[1].read(layer, pos, set2);
        n_differ += set2 != sorted ? 1 : 0;
      }
    }
    EXPECT_EQ(output.shadows[1].n_positions(), output.routing.n_positions());
    EXPECT_GT(n_differ, 5);
  }
}

// A generation of two prompts that one shadow with biases watches, whose fit is written down.
class GenerationWithACalibration : public testing::Test {
 protected:
  struct Fit {
    std::size_t shadow;
    int layer;
    std::vector<ExpertId> own;
    std::vector<float> logits;
  };

  std::vector<GenerationOutput> run(std::vector<CalibrationPass::Part> parts) {
    const std::byte byte{7};
    const auto router = model_.prepare_shadow({{{WeightType::f32, {1}, std::span(&byte, 1)}}});
    const std::vector<float> biases(24, 0.0F);
    const std::vector<GenerationInput> inputs = {{"a", first_}, {"b", second_}};
    GenerationOptions options;
    options.max_new_tokens = 5;
    options.shadows = {{router.get(), {}}, {router.get(), biases}};
    options.max_tokens_per_pass = 6;
    options.score = true;
    options.calibration = {
        std::move(parts), [&](std::size_t shadow, int layer, std::span<const ExpertId> own,
                              std::span<const float> logits) {
          fits_.push_back(
              {shadow, layer, {own.begin(), own.end()}, {logits.begin(), logits.end()}});
        }};
    return generate(model_, inputs, options, std::atomic<bool>(false));
  }

  const std::vector<TokenId> first_ = {5, 9, 4, 33}, second_ = {7, 7, 7, 1, 2, 3, 9};
  test::FakeModel model_;
  std::vector<Fit> fits_;
};

TEST_F(GenerationWithACalibration, ItsTokensGoFirstAndNothingElseChanges) {
  const auto without = run({});
  EXPECT_TRUE(fits_.empty());
  model_.pass_rows.clear();
  const auto with = run({{1, 2}, {0, 4}});
  EXPECT_EQ(std::vector<std::int64_t>(model_.pass_rows.begin(), model_.pass_rows.begin() + 3),
            (std::vector<std::int64_t>{6, 5, 2}));
  ASSERT_EQ(fits_.size(), 3U);
  for (int layer = 0; layer < 3; ++layer) {
    const Fit& fit = fits_[static_cast<std::size_t>(layer)];
    EXPECT_EQ(fit.shadow, 1U);
    EXPECT_EQ(fit.layer, layer);
    EXPECT_EQ(fit.logits.size(), 48U);
    std::vector<ExpertId> expected;
    for (const auto& [tokens, n] : {std::pair(second_, 2), std::pair(first_, 4)}) {
      for (int i = 1; i <= n; ++i) {
        const auto so_far = std::span(tokens).first(static_cast<std::size_t>(i));
        const auto chosen = model_.expected_routing(so_far, layer).experts;
        expected.insert(expected.end(), chosen.begin(), chosen.end());
      }
    }
    EXPECT_EQ(fit.own, expected);
  }
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(with[i].token_ids, without[i].token_ids);
    EXPECT_EQ(with[i].logprobs, without[i].logprobs);
    for (std::size_t s = 0; s < 2; ++s) {
      EXPECT_EQ(with[i].shadows[s].bytes(), without[i].shadows[s].bytes());
    }
    for (std::int64_t pos = 0; pos < with[i].routing.n_positions(); ++pos) {
      EXPECT_TRUE(
          std::ranges::equal(with[i].routing.experts(2, pos), without[i].routing.experts(2, pos)));
    }
  }
}

TEST_F(GenerationWithACalibration, MustFitTheBatch) {
  for (const std::vector<CalibrationPass::Part>& parts :
       std::vector<std::vector<CalibrationPass::Part>>{
           {{2, 1}}, {{0, 0}}, {{0, 5}}, {{0, 2}, {0, 2}}, {{0, 3}, {1, 4}}}) {
    expect_error(ErrorKind::usage, "calibration", [&] { run(parts); });
  }
}

}  // namespace
}  // namespace moexray
