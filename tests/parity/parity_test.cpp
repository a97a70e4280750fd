// The models against transformers, on small random checkpoints of every kind that OLMoE's config
// allows, and of every other family with the settings that it has.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "moexray/core/error.h"
#include "moexray/runtime/generate.h"
#include "parity_support.h"
#include "support/double_policy.h"
#include "support/expect_error.h"
#include "support/fused_checkpoint.h"
#include "support/temporary_directory.h"

namespace moexray::parity {
namespace {

// transformers itself keeps 0.98 or more of the experts when it computes these models in bfloat16.
constexpr double min_bf16_agreement = 0.95;
constexpr int max_new_tokens = 8;

class Parity : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    checkpoint_ = std::make_unique<Checkpoint>(variant_directory(GetParam()));
    expected_ = read_expected(GetParam());
    ASSERT_EQ(expected_.size(), 3u);
  }

  std::unique_ptr<Model> load(const std::string& dtype = "float32", int n_threads = 1) const {
    ModelOptions options;
    options.dtype = dtype;
    options.n_threads = n_threads;
    return runtime().load(*checkpoint_, options);
  }

  /// 16 sequences of different lengths; every third one is a prompt of the fixture.
  std::vector<std::vector<TokenId>> ragged_batch() const {
    std::vector<std::vector<TokenId>> sequences;
    for (int i = 0; i < 16; ++i) {
      if (i % 3 == 0) {
        sequences.push_back(expected_[i / 3 % 3].prompt);
        continue;
      }
      std::vector<TokenId> tokens(1 + (i * 7) % 13);
      for (std::size_t t = 0; t < tokens.size(); ++t) {
        tokens[t] = static_cast<TokenId>((i * 31 + static_cast<int>(t) * 17) %
                                         checkpoint_->config().spec.vocab_size);
      }
      sequences.push_back(tokens);
    }
    return sequences;
  }

  std::unique_ptr<Checkpoint> checkpoint_;
  std::vector<ExpectedPrompt> expected_;
};

TEST_P(Parity, logits_experts_and_weights_are_those_of_transformers) {
  const auto model = load();
  for (const ExpectedPrompt& expected : expected_) {
    const auto tokens = expected.tokens();
    const Pass pass = run_alone(*model, tokens, tokens.size());
    EXPECT_LE(largest_difference(pass.logits, expected.logits), 1e-4);
    EXPECT_EQ(pass.experts, expected.experts);
    EXPECT_LE(largest_difference(pass.weights, expected.weights), 1e-5);
  }
}

TEST_P(Parity, greedy_continuations_are_those_of_transformers) {
  const auto model = load();
  for (const ExpectedPrompt& expected : expected_) {
    EXPECT_EQ(generate_greedily(*model, expected.prompt, max_new_tokens), expected.generated);
  }
}

// The three prompts as one batch, through the generation that `moexray trace` uses.
TEST_P(Parity, generated_batch_is_routed_as_transformers_does) {
  const auto model = load();
  const ModelConfig& config = checkpoint_->config();
  GenerationOptions options;
  options.max_new_tokens = max_new_tokens;
  options.eos_token_ids = config.eos_token_ids;
  std::vector<GenerationInput> inputs;
  for (const ExpectedPrompt& expected : expected_) inputs.push_back({"prompt", expected.prompt});
  const std::atomic<bool> stop = false;
  const auto outputs = generate(*model, inputs, options, stop);
  ASSERT_EQ(outputs.size(), expected_.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "prompt " << i);
    const ExpectedPrompt& expected = expected_[i];
    EXPECT_EQ(outputs[i].token_ids, expected.generated);
    const TokenId last = expected.generated.back();
    const bool ended =
        std::count(config.eos_token_ids.begin(), config.eos_token_ids.end(), last) > 0;
    EXPECT_EQ(outputs[i].finish_reason, ended ? "eos" : "length");
    const auto n_tokens = static_cast<std::int64_t>(expected.tokens().size());
    ASSERT_EQ(outputs[i].routing.n_positions(), n_tokens);
    std::vector<ExpertId> experts;
    std::vector<float> weights;
    for (int layer = 0; layer < config.routing_shape().n_layers; ++layer) {
      for (std::int64_t pos = 0; pos < n_tokens; ++pos) {
        const auto ids = outputs[i].routing.experts(layer, pos);
        experts.insert(experts.end(), ids.begin(), ids.end());
        const auto values = outputs[i].routing.weights(layer, pos);
        weights.insert(weights.end(), values.begin(), values.end());
      }
    }
    EXPECT_EQ(experts, expected.experts);
    EXPECT_LE(largest_difference(weights, expected.weights), 1e-5);
  }
}

TEST_P(Parity, fused_experts_give_the_same_bytes) {
  const test::TemporaryDirectory directory;
  test::write_fused_checkpoint(checkpoint_->directory(), directory.path());
  const Checkpoint fused(directory.path());
  ASSERT_EQ(fused.expert_layout(), ExpertLayout::fused);
  const auto tokens = expected_.back().tokens();
  for (const std::string dtype : {"float32", "bfloat16"}) {
    ModelOptions options;
    options.dtype = dtype;
    options.n_threads = 1;
    const auto model = runtime().load(fused, options);
    EXPECT_TRUE(same_bytes(run_alone(*model, tokens, tokens.size()),
                           run_alone(*load(dtype), tokens, tokens.size())))
        << dtype;
  }
}

TEST_P(Parity, prefill_gives_the_bytes_of_token_by_token) {
  const auto model = load();
  const auto tokens = expected_.back().tokens();
  const Pass whole = run_alone(*model, tokens, tokens.size());
  EXPECT_TRUE(same_bytes(whole, run_alone(*model, tokens, 1)));
  EXPECT_TRUE(same_bytes(whole, run_alone(*model, tokens, 5)));
}

TEST_P(Parity, bytes_depend_neither_on_the_batch_nor_on_threads) {
  const TokenId next = 5;
  const auto sequences = ragged_batch();
  const auto one_thread = load("float32", 1);
  const auto two_threads = load("float32", 2);
  const auto batch = run_batch(*one_thread, sequences, next);
  const auto batch_of_two_threads = run_batch(*two_threads, sequences, next);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    SCOPED_TRACE(testing::Message()
                 << "sequence " << i << " of " << sequences[i].size() << " tokens");
    for (Model* model : {one_thread.get(), two_threads.get()}) {
      const auto alone = run_batch(*model, {sequences[i]}, next).front();
      EXPECT_TRUE(same_bytes(alone.prefill, batch[i].prefill));
      EXPECT_TRUE(same_bytes(alone.step, batch[i].step));
    }
    EXPECT_TRUE(same_bytes(batch[i].prefill, batch_of_two_threads[i].prefill));
    EXPECT_TRUE(same_bytes(batch[i].step, batch_of_two_threads[i].step));
  }
}

TEST_P(Parity, bfloat16_keeps_nearly_all_experts) {
  const auto model = load("bfloat16", 2);
  const int k = checkpoint_->config().routing_shape().top_k;
  double agreement = 0;
  double agreement_of_bf16 = 0;
  double n_tokens = 0;
  for (const ExpectedPrompt& expected : expected_) {
    const auto tokens = expected.tokens();
    const Pass pass = run_alone(*model, tokens, tokens.size());
    const auto n = static_cast<double>(tokens.size());
    agreement += n * shared_experts(pass.experts, expected.experts, k);
    agreement_of_bf16 += n * shared_experts(pass.experts, expected.experts_bf16, k);
    n_tokens += n;
  }
  EXPECT_GE(agreement / n_tokens, min_bf16_agreement);
  EXPECT_GE(agreement_of_bf16 / n_tokens, min_bf16_agreement);
}

TEST_P(Parity, router_logits_explain_experts_and_weights) {
  const auto model = load();
  const ModelConfig& config = checkpoint_->config();
  const auto& tokens = expected_.back().prompt;
  const std::int64_t capacity = static_cast<std::int64_t>(tokens.size());
  const auto session = model->new_session({&capacity, 1});
  const SequenceChunk chunk{0, tokens};
  const RouterSpec& router = config.spec.router();
  RouterRecorder recorder(config, /*wants_logits=*/true);
  model->forward(*session, {&chunk, 1}, {&recorder});
  const auto experts = recorder.experts();
  const auto weights = recorder.weights();
  std::size_t at = 0;
  for (int layer = 0; layer < config.routing_shape().n_layers; ++layer) {
    const auto& logits = recorder.logits(layer);
    ASSERT_EQ(logits.size(), tokens.size() * router.n_experts);
    for (std::size_t row = 0; row < tokens.size(); ++row) {
      const float* values = &logits[row * router.n_experts];
      double total = 0;
      double selected = 0;
      for (int e = 0; e < router.n_experts; ++e) total += std::exp(values[e]);
      for (int j = 0; j < router.top_k; ++j) selected += std::exp(values[experts[at + j]]);
      const bool sum_to_1 = router.normalise || router.softmax == SoftmaxOver::chosen;
      const double divisor = sum_to_1 ? selected : total;
      for (int j = 0; j < router.top_k; ++j, ++at) {
        ASSERT_NEAR(weights[at], std::exp(values[experts[at]]) / divisor, 1e-5);
      }
    }
  }
}

// Whose fixtures hold router logits too.
class FamilyParity : public Parity {};

TEST_P(FamilyParity, router_logits_are_those_of_transformers) {
  const auto model = load();
  const ModelConfig& config = checkpoint_->config();
  for (const ExpectedPrompt& expected : expected_) {
    const auto tokens = expected.tokens();
    const auto capacity = static_cast<std::int64_t>(tokens.size());
    const auto session = model->new_session({&capacity, 1});
    const SequenceChunk chunk{0, tokens};
    RouterRecorder recorder(config, /*wants_logits=*/true);
    model->forward(*session, {&chunk, 1}, {&recorder});
    std::vector<float> logits;
    for (int layer = 0; layer < config.routing_shape().n_layers; ++layer) {
      const auto& own = recorder.logits(layer);
      logits.insert(logits.end(), own.begin(), own.end());
    }
    EXPECT_LE(largest_difference(logits, expected.router_logits), 5e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Olmoe, Parity,
                         testing::Values("base", "norm_topk_prob", "grouped_query", "multi_query",
                                         "tied_embeddings", "clip_qkv", "float16", "bfloat16",
                                         "sharded", "rope_and_eps", "odd_widths", "top_1",
                                         "top_all", "experts_256", "config_v5", "ends_early"),
                         [](const auto& info) { return info.param; });

const auto families =
    testing::Values("qwen3_moe", "qwen3_moe_window", "qwen2_moe", "qwen2_moe_layer_types",
                    "mixtral", "mixtral_linear", "granitemoe", "granitemoe_fused",
                    "granitemoeshared", "granitemoeshared_fused", "flex_olmo", "flex_olmo_fused");

INSTANTIATE_TEST_SUITE_P(Families, Parity, families, [](const auto& info) { return info.param; });
INSTANTIATE_TEST_SUITE_P(Families, FamilyParity, families,
                         [](const auto& info) { return info.param; });

class ModelUse : public testing::Test {
 protected:
  Checkpoint checkpoint_{variant_directory("base")};
  std::unique_ptr<Model> model_ = runtime().load(checkpoint_, {"float32", "cpu", 1});
};

TEST_F(ModelUse, last_token_logits_are_the_last_rows_of_all) {
  const std::vector<TokenId> tokens = {3, 14, 15, 92, 6};
  const Pass all = run_alone(*model_, tokens, tokens.size());
  const std::int64_t capacity = 5;
  const auto session = model_->new_session({&capacity, 1});
  const SequenceChunk chunk{0, tokens};
  const auto last = model_->forward(*session, {&chunk, 1}, {});
  const auto n_vocab = static_cast<std::size_t>(checkpoint_.config().spec.vocab_size);
  EXPECT_EQ(last, std::vector<float>(all.logits.end() - static_cast<std::ptrdiff_t>(n_vocab),
                                     all.logits.end()));
  EXPECT_EQ(session->length(0), 5);
}

// Ten sequences of 60 tokens.
std::vector<std::vector<TokenId>> many_sequences() {
  std::vector<std::vector<TokenId>> sequences(10);
  for (TokenId i = 0; i < 600; ++i)
    sequences[static_cast<std::size_t>(i / 60)].push_back(i * 7 % 96);
  return sequences;
}

TEST_F(ModelUse, logits_of_every_token_come_in_blocks) {
  const auto sequences = many_sequences();
  const std::vector<std::int64_t> capacities(10, 60);
  const auto session = model_->new_session(capacities);
  std::vector<SequenceChunk> chunks;
  for (int i = 0; i < 10; ++i) chunks.push_back({i, sequences[static_cast<std::size_t>(i)]});
  const auto n_vocab = static_cast<std::int64_t>(checkpoint_.config().spec.vocab_size);
  std::vector<std::int64_t> first_rows;
  std::vector<float> all;
  const auto sink = [&](std::int64_t first_row, std::span<const float> logits) {
    EXPECT_LE(std::ssize(logits), max_logit_rows * n_vocab);
    EXPECT_EQ(std::ssize(all), first_row * n_vocab);
    first_rows.push_back(first_row);
    all.insert(all.end(), logits.begin(), logits.end());
  };
  EXPECT_TRUE(model_->forward(*session, chunks, {nullptr, nullptr, sink}).empty());
  EXPECT_EQ(first_rows, (std::vector<std::int64_t>{0, 256, 512}));
  EXPECT_EQ(std::ssize(all), 600 * n_vocab);
  std::vector<float> alone;
  for (const auto& tokens : sequences) {
    const Pass pass = run_alone(*model_, tokens, 60);
    alone.insert(alone.end(), pass.logits.begin(), pass.logits.end());
  }
  EXPECT_EQ(all, alone);
}

struct NoPolicy : RoutingPolicy {
  std::string canonical() const override { return "nothing"; }
};

TEST_F(ModelUse, a_policy_that_does_nothing_changes_no_bit) {
  const std::vector<TokenId> tokens = {3, 14, 15, 92, 6, 5, 35};
  const NoPolicy nothing;
  EXPECT_TRUE(same_bytes(run_alone(*model_, tokens, 3), run_alone(*model_, tokens, 3, &nothing)));
}

TEST_F(ModelUse, a_policy_is_a_function_of_its_row) {
  const test::ShiftingPolicy policy;
  const std::vector<TokenId> tokens = {3, 14, 15, 92, 6, 5, 35};
  const Pass alone = run_alone(*model_, tokens, tokens.size(), &policy);
  const Pass natural = run_alone(*model_, tokens, tokens.size());
  EXPECT_NE(alone.experts, natural.experts);
  EXPECT_NE(alone.logits, natural.logits);
  EXPECT_TRUE(same_bytes(alone, run_alone(*model_, tokens, 1, &policy))) << "chunks matter";
  const auto threaded = runtime().load(checkpoint_, {"float32", "cpu", 3});
  const auto one = run_batch(*model_, many_sequences(), 4, &policy),
             three = run_batch(*threaded, many_sequences(), 4, &policy);
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_TRUE(same_bytes(one[i].prefill, three[i].prefill)) << "threads matter";
    EXPECT_TRUE(same_bytes(one[i].step, three[i].step)) << "threads matter";
  }
  const auto batch = run_batch(*model_, {{1, 2}, tokens, {9, 9, 9, 9}}, 4, &policy);
  EXPECT_TRUE(same_bytes(alone, batch[1].prefill)) << "the batch matters";
  std::vector<TokenId> with_next = tokens;
  with_next.push_back(4);
  const Pass whole = run_alone(*model_, with_next, with_next.size(), &policy);
  EXPECT_EQ(std::vector<float>(whole.logits.end() - checkpoint_.config().spec.vocab_size,
                               whole.logits.end()),
            batch[1].step.logits);
}

TEST_F(ModelUse, a_policy_that_forbids_too_much_leaves_the_session_as_it_was) {
  struct : RoutingPolicy {
    void on_logits(const RouterRow&, std::span<float> logits) const override {
      std::ranges::fill(logits, -std::numeric_limits<float>::infinity());
    }
    std::string canonical() const override { return "mask all"; }
  } policy;
  const std::int64_t capacity = 4;
  const auto session = model_->new_session({&capacity, 1});
  const std::vector<TokenId> tokens = {1, 2, 3};
  const SequenceChunk chunk{0, tokens};
  test::expect_error(ErrorKind::runtime, "\"mask all\" forbids too many experts",
                     [&] { model_->forward(*session, {&chunk, 1}, {nullptr, &policy, {}}); });
  EXPECT_EQ(session->length(0), 0);
}

TEST_F(ModelUse, refuses_ids_outside_the_vocabulary_and_full_slots) {
  const std::int64_t capacity = 2;
  for (const std::vector<TokenId>& tokens :
       {std::vector<TokenId>{96}, std::vector<TokenId>{-1}, std::vector<TokenId>{1, 2, 3}}) {
    const auto session = model_->new_session({&capacity, 1});
    const SequenceChunk chunk{0, tokens};
    EXPECT_THROW(model_->forward(*session, {&chunk, 1}, {}), Error);
    EXPECT_EQ(session->length(0), 0);
  }
}

TEST_F(ModelUse, refuses_unknown_dtypes_and_devices) {
  EXPECT_THROW(runtime().load(checkpoint_, {"float64", "cpu", 1}), Error);
  EXPECT_THROW(runtime().load(checkpoint_, {"float32", "abacus", 1}), Error);
}

TEST_F(ModelUse, runtime_names_its_parts) {
  const RuntimeInfo info = runtime().info();
  EXPECT_NE(info.backend.find("libtorch"), std::string::npos) << info.backend;
  EXPECT_FALSE(info.blas.empty());
  EXPECT_FALSE(info.instruction_set.empty());
}

}  // namespace
}  // namespace moexray::parity
