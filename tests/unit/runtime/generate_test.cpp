#include "moexray/runtime/generate.h"

#include <gtest/gtest.h>

#include <limits>

#include "moexray/core/forward_tokens.h"
#include "moexray/runtime/sampling.h"
#include "support/expect_error.h"
#include "support/fake_model.h"

namespace moexray {
namespace {

using test::expect_error;
using test::FakeModel;

const std::atomic<bool> never = false;

struct TestPrompt {
  std::string id;
  std::vector<TokenId> token_ids;
};

std::vector<TestPrompt> ragged_prompts(int n) {
  std::vector<TestPrompt> prompts;
  for (int i = 0; i < n; ++i) {
    TestPrompt prompt{"p" + std::to_string(i), {}};
    for (int t = 0; t < 1 + (i * 5) % 13; ++t) prompt.token_ids.push_back((i * 7 + t * 3) % 48);
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

std::vector<GenerationInput> inputs_of(std::span<const TestPrompt> prompts) {
  std::vector<GenerationInput> inputs;
  for (const TestPrompt& prompt : prompts) inputs.push_back({prompt.id, prompt.token_ids});
  return inputs;
}

GenerationOptions options_of(const Model& model, std::int64_t max_new_tokens) {
  GenerationOptions options;
  options.max_new_tokens = max_new_tokens;
  options.eos_token_ids = model.config().eos_token_ids;
  return options;
}

// The plain twin: one prompt, token by token, greedily.
std::vector<TokenId> continue_plainly(const FakeModel& model, std::vector<TokenId> ids,
                                      const GenerationOptions& options) {
  std::vector<TokenId> generated;
  while (static_cast<std::int64_t>(generated.size()) < options.max_new_tokens) {
    std::vector<float> logits = model.expected_logits(ids);
    const auto eos = static_cast<std::size_t>(options.eos_token_ids.at(0));
    if (options.ignore_eos) logits[eos] = -std::numeric_limits<float>::infinity();
    const TokenId token = most_probable_token(logits);
    generated.push_back(token);
    ids.push_back(token);
    if (token == options.eos_token_ids[0]) break;
  }
  return generated;
}

void expect_routing(const FakeModel& model, const TestPrompt& prompt,
                    const GenerationOutput& output) {
  std::vector<TokenId> ids = prompt.token_ids;
  ids.insert(ids.end(), output.token_ids.begin(), output.token_ids.end());
  const std::int64_t n_positions =
      n_forward_tokens(static_cast<std::int64_t>(prompt.token_ids.size()),
                       static_cast<std::int64_t>(output.token_ids.size()));
  ASSERT_EQ(output.routing.n_positions(), n_positions);
  for (int layer = 0; layer < model.config().routing_shape().n_layers; ++layer) {
    for (std::int64_t pos = 0; pos < n_positions; ++pos) {
      const auto expected =
          model.expected_routing(std::span(ids).first(static_cast<std::size_t>(pos) + 1), layer);
      const auto experts = output.routing.experts(layer, pos);
      EXPECT_TRUE(std::equal(experts.begin(), experts.end(), expected.experts.begin(),
                             expected.experts.end()))
          << prompt.id << " layer " << layer << " pos " << pos;
      const auto weights = output.routing.weights(layer, pos);
      EXPECT_TRUE(std::equal(weights.begin(), weights.end(), expected.weights.begin(),
                             expected.weights.end()));
      if (output.routing.has_logits()) {
        const auto logits = output.routing.logits(layer, pos);
        EXPECT_TRUE(std::equal(logits.begin(), logits.end(), expected.logits.begin(),
                               expected.logits.end()));
      }
    }
  }
}

TEST(Generate, ContinuesARaggedBatchAsEachPromptAlone) {
  FakeModel model;
  const auto prompts = ragged_prompts(17);
  for (const bool ignore_eos : {false, true}) {
    GenerationOptions options = options_of(model, 12);
    options.ignore_eos = ignore_eos;
    options.router_logits = ignore_eos;
    const auto outputs = generate(model, inputs_of(prompts), options, never);
    ASSERT_EQ(outputs.size(), prompts.size());
    std::size_t n_eos = 0;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const auto expected = continue_plainly(model, prompts[i].token_ids, options);
      EXPECT_EQ(outputs[i].token_ids, expected);
      const bool ended = expected.back() == 2;
      n_eos += ended ? 1 : 0;
      EXPECT_EQ(outputs[i].finish_reason, ended ? "eos" : "length");
      expect_routing(model, prompts[i], outputs[i]);
    }
    // Both ways to end occur, or the test shows little.
    EXPECT_EQ(n_eos > 0, !ignore_eos);
    EXPECT_LT(n_eos, prompts.size());
  }
}

TEST(Generate, DropsFinishedSequencesFromThePasses) {
  FakeModel model;
  const auto prompts = ragged_prompts(17);
  std::int64_t n_prompt = 0;
  std::int64_t n_generated = 0;
  const auto outputs = generate(model, inputs_of(prompts), options_of(model, 12), never,
                                [&](TokenType type, std::int64_t n) {
                                  (type == TokenType::prompt ? n_prompt : n_generated) += n;
                                });
  std::int64_t n_expected = 0;
  for (const GenerationOutput& output : outputs) n_expected += output.routing.n_positions();
  std::int64_t n_rows = 0;
  for (const std::int64_t rows : model.pass_rows) n_rows += rows;
  EXPECT_EQ(n_rows, n_expected);
  std::int64_t n_in_prompts = 0;
  for (const auto& prompt : prompts) n_in_prompts += std::ssize(prompt.token_ids);
  EXPECT_EQ(n_prompt, n_in_prompts);
  EXPECT_EQ(n_generated, n_expected - n_in_prompts);
  EXPECT_TRUE(std::is_sorted(model.pass_rows.rbegin(), model.pass_rows.rend()));
}

TEST(Generate, TracesThePromptAlone) {
  FakeModel model;
  const auto prompts = ragged_prompts(5);
  const auto outputs = generate(model, inputs_of(prompts), options_of(model, 0), never);
  EXPECT_EQ(model.pass_rows.size(), 1U);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_TRUE(outputs[i].token_ids.empty());
    EXPECT_EQ(outputs[i].finish_reason, "length");
    expect_routing(model, prompts[i], outputs[i]);
  }
}

TEST(Generate, OneNewTokenNeedsNoPassOfItsOwn) {
  FakeModel model;
  const auto prompts = ragged_prompts(5);
  const auto outputs = generate(model, inputs_of(prompts), options_of(model, 1), never);
  EXPECT_EQ(model.pass_rows.size(), 1U);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(outputs[i].token_ids.size(), 1U);
    expect_routing(model, prompts[i], outputs[i]);
  }
}

TEST(Generate, BoundsTheTokensOfAPass) {
  const auto prompts = ragged_prompts(17);
  FakeModel whole;
  const auto expected = generate(whole, inputs_of(prompts), options_of(whole, 6), never);
  for (const std::int64_t limit : {1, 2, 5, 13, 40}) {
    FakeModel model;
    GenerationOptions options = options_of(model, 6);
    options.max_tokens_per_pass = limit;
    const auto outputs = generate(model, inputs_of(prompts), options, never);
    for (const std::int64_t rows : model.pass_rows) EXPECT_LE(rows, limit);
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_EQ(outputs[i].token_ids, expected[i].token_ids);
      expect_routing(model, prompts[i], outputs[i]);
    }
  }
}

TEST(Generate, SamplesWhateverTheBatch) {
  FakeModel model;
  const auto prompts = ragged_prompts(9);
  GenerationOptions options = options_of(model, 10);
  options.do_sample = true;
  options.temperature = 1.5;
  options.top_p = 0.95;
  options.seed = 4;
  const auto together = generate(model, inputs_of(prompts), options, never);
  std::size_t n_different = 0;
  GenerationOptions other_seed = options;
  other_seed.seed = 5;
  GenerationOptions greedy = options;
  greedy.do_sample = false;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto inputs = inputs_of(std::span(prompts).subspan(i, 1));
    EXPECT_EQ(generate(model, inputs, options, never)[0].token_ids, together[i].token_ids);
    n_different += generate(model, inputs, other_seed, never)[0].token_ids != together[i].token_ids;
    n_different += generate(model, inputs, greedy, never)[0].token_ids != together[i].token_ids;
    expect_routing(model, prompts[i], together[i]);
  }
  EXPECT_GT(n_different, prompts.size());
}

TEST(Generate, IdsBeyondTheCandidatesNeverFollow) {
  FakeModel model;
  const auto prompts = ragged_prompts(9);
  for (const bool samples : {false, true}) {
    GenerationOptions options = options_of(model, 20);
    options.ignore_eos = true;
    options.do_sample = samples;
    const auto largest = [&] {
      TokenId id = 0;
      for (const GenerationOutput& output : generate(model, inputs_of(prompts), options, never)) {
        id = std::max(id, *std::max_element(output.token_ids.begin(), output.token_ids.end()));
      }
      return id;
    };
    const TokenId free = largest();
    ASSERT_GT(free, 20);
    options.n_candidates = 20;
    EXPECT_LT(largest(), 20);
    options.n_candidates = 1000;
    EXPECT_EQ(largest(), free);
  }
}

TEST(Generate, PromptsOfEqualTextSampleDifferently) {
  FakeModel model;
  const std::vector<TokenId> ids = {5, 6, 7};
  GenerationOptions options = options_of(model, 10);
  options.do_sample = true;
  options.ignore_eos = true;
  const std::vector<GenerationInput> inputs = {{"a", ids}, {"b", ids}};
  const auto outputs = generate(model, inputs, options, never);
  EXPECT_NE(outputs[0].token_ids, outputs[1].token_ids);
}

TEST(Generate, StopsBetweenPasses) {
  FakeModel model;
  std::atomic<bool> stop = false;
  model.on_forward = [&](std::int64_t pass) { stop = pass == 2; };
  const auto prompts = ragged_prompts(4);
  GenerationOptions options = options_of(model, 10);
  options.ignore_eos = true;
  expect_error(ErrorKind::interrupted, "interrupted",
               [&] { generate(model, inputs_of(prompts), options, stop); });
  EXPECT_EQ(model.pass_rows.size(), 3U);
}

TEST(Generate, RefusesWhatCannotBeDone) {
  FakeModel model;
  const std::vector<GenerationInput> empty = {{"a", {}}};
  expect_error(ErrorKind::data, "prompt without tokens",
               [&] { generate(model, empty, options_of(model, 1), never); });
  const auto prompts = ragged_prompts(2);
  expect_error(ErrorKind::usage, "must not be negative",
               [&] { generate(model, inputs_of(prompts), options_of(model, -1), never); });
  GenerationOptions options = options_of(model, 1);
  options.n_candidates = -1;
  expect_error(ErrorKind::usage, "must not be negative",
               [&] { generate(model, inputs_of(prompts), options, never); });
  EXPECT_TRUE(generate(model, {}, options_of(model, 1), never).empty());
}

// Models that report less, more or other routing than they should.
class FaultyModel : public FakeModel {
 public:
  enum class Fault { lost_layer, lost_row, wrong_k, wrong_expert, repeated_layer, no_logits };
  explicit FaultyModel(Fault fault) : fault_(fault) {}

 protected:
  void report_routing(std::span<const std::uint64_t> states, RouterTap& tap) const override {
    std::vector<ExpertId> experts(states.size() * 2, fault_ == Fault::wrong_expert ? 8 : 3);
    const std::vector<float> weights(states.size() * 2, 0.1F);
    auto n_rows = static_cast<std::int64_t>(states.size());
    const int n_layers = fault_ == Fault::lost_layer ? 2 : 3;
    for (int layer = 0; layer < n_layers; ++layer) {
      RouterBatch batch{layer, n_rows, 8, 2, experts, weights, {}};
      if (fault_ == Fault::lost_row) batch.n_rows = n_rows - 1;
      if (fault_ == Fault::wrong_k) batch.top_k = 1;
      if (fault_ == Fault::repeated_layer) batch.layer = 0;
      tap.on_router(batch);
    }
  }

 private:
  Fault fault_;
};

TEST(Generate, ChecksWhatTheModelReports) {
  using Fault = FaultyModel::Fault;
  const auto prompts = ragged_prompts(3);
  for (const Fault fault : {Fault::lost_layer, Fault::lost_row, Fault::wrong_k,
                            Fault::repeated_layer, Fault::no_logits}) {
    FaultyModel model(fault);
    GenerationOptions options = options_of(model, 2);
    options.router_logits = fault == Fault::no_logits;
    expect_error(ErrorKind::runtime, "the model",
                 [&] { generate(model, inputs_of(prompts), options, never); });
  }
  FaultyModel model(Fault::wrong_expert);
  expect_error(ErrorKind::data, "expert that does not exist",
               [&] { generate(model, inputs_of(prompts), options_of(model, 2), never); });
}

}  // namespace
}  // namespace moexray
