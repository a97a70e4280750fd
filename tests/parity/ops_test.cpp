// The inference operations of the CPU against the plain libtorch ones, through a whole model.

#include <gtest/gtest.h>

#include <algorithm>

#include "decoder.h"
#include "inference_ops.h"
#include "moexray/core/random.h"
#include "support/double_kernels.h"
#include "support/tiny_checkpoint.h"

namespace moexray::torch_runtime {
namespace {

test::OlmoeConfig small_config(bool normalise) {
  test::OlmoeConfig config = test::tiny_config();
  config.vocab_size = 40;
  config.hidden_size = 36;
  config.intermediate_size = 20;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 6;
  config.num_experts = 9;
  config.num_experts_per_tok = 3;
  config.clip_qkv = 1.5;
  config.norm_topk_prob = normalise;
  return config;
}

Decoder random_model(const test::OlmoeConfig& config, at::ScalarType dtype,
                     std::uint64_t seed = 11) {
  at::manual_seed(seed);
  const ModelConfig model_config = test::model_config(config);
  Decoder model(model_config.spec);
  for (const WeightSlot& slot : weight_slots(model_config)) {
    const auto values = at::randn(slot.shape);
    const auto tensor = (slot.shape.size() == 1 ? 1.0 + 0.1 * values : 0.3 * values).to(dtype);
    if (slot.expert < 0) {
      model.weight(slot.role, slot.layer) = tensor;
    } else {
      model.expert_weights(slot.role, slot.layer).push_back(tensor);
    }
  }
  return model;
}

struct Output {
  at::Tensor hidden;
  std::vector<at::Tensor> experts;
};

// Two passes over two sequences: 5 and 3 tokens, then 1 and 2 more.
template <typename OpsType, typename... More>
Output run(const Decoder& model, at::ScalarType dtype, const More&... more) {
  const std::int64_t capacities[] = {10, 10};
  TorchSession session(model.spec, 10, capacities, at::TensorOptions(dtype));
  const RaggedBatch passes[] = {{{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}, {1, 0}, {1, 1}, {1, 2}}},
                                {{{0, 5}, {1, 3}, {1, 4}}}};
  Output output;
  std::vector<at::Tensor> hidden;
  std::int64_t next = 0;
  for (const RaggedBatch& batch : passes) {
    const auto n = static_cast<std::int64_t>(batch.rows.size());
    OpsType ops(session, batch, more...);
    const auto x = model.embedding.narrow(0, next, n).contiguous();
    next += n;
    hidden.push_back(
        model.forward(x, ops, [&](int, const at::Tensor&, const RouterOutput& routing) {
          output.experts.push_back(routing.experts);
        }));
  }
  output.hidden = at::cat(hidden, 0);
  return output;
}

class InferenceOps : public ::testing::TestWithParam<bool> {};

TEST_P(InferenceOps, Float32AgreesWithPlainLibtorch) {
  const at::NoGradGuard no_grad;
  const Decoder model = random_model(small_config(GetParam()), at::kFloat);
  const Output fast = run<CpuOps>(model, at::kFloat), plain = run<ReferenceOps>(model, at::kFloat);
  EXPECT_LT((fast.hidden - plain.hidden).abs().max().item<double>(), 2e-5);
  ASSERT_EQ(fast.experts.size(), 6U);
  for (std::size_t i = 0; i < fast.experts.size(); ++i)
    EXPECT_TRUE(fast.experts[i].equal(plain.experts[i])) << i;
}

// The same weights for a computation in float32, whose kernels widen matrices themselves.
Decoder widened(Decoder model) {
  model.embedding = model.embedding.to(at::kFloat);
  model.final_norm = model.final_norm.to(at::kFloat);
  for (LayerWeights& layer : model.layers) {
    for (at::Tensor* norm :
         {&layer.attention_norm, &layer.query_norm, &layer.key_norm, &layer.mlp_norm}) {
      *norm = norm->to(at::kFloat);
    }
  }
  return model;
}

// Rounding flips an expert here and there, on both sides: what counts is that ours strays no
// further from the exact computation with the same weights than libtorch does.
TEST_P(InferenceOps, Bfloat16IsAsCloseToFloat32AsPlainLibtorchIs) {
  const at::NoGradGuard no_grad;
  double ours = 0, plain = 0;
  const auto sets = kernels::usable_kernel_sets();
  std::vector<double> fast(sets.size());
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Decoder model = random_model(small_config(GetParam()), at::kBFloat16, seed);
    const auto exact = run<CpuOps>(widened(model), at::kFloat).hidden;
    const auto error = [&](const Output& output) {
      return (output.hidden.to(at::kFloat) - exact).abs().mean().item<double>();
    };
    ours += error(run<CpuOps>(model, at::kBFloat16));
    for (std::size_t i = 0; i < sets.size(); ++i) {
      fast[i] += error(run<FastOps>(model, at::kBFloat16, *sets[i]));
    }
    plain += error(run<ReferenceOps>(model, at::kBFloat16));
  }
  EXPECT_GT(plain, 0);
  EXPECT_LT(ours, 1.2 * plain);
  for (std::size_t i = 0; i < sets.size(); ++i) EXPECT_LT(fast[i], 1.2 * plain) << sets[i]->name;
}

// A part of a wider tensor is multiplied where it lies.
TEST(InferenceOpsStrides, GiveTheBitsOfAContiguousMatrix) {
  const at::NoGradGuard no_grad;
  at::manual_seed(4);
  const Decoder model = random_model(small_config(false), at::kBFloat16);
  auto sets = kernels::usable_kernel_sets();
  for (const kernels::KernelSet& set : test::double_kernels()) sets.push_back(&set);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const std::int64_t capacity = 1;
    TorchSession session(model.spec, 10, {&capacity, 1}, at::TensorOptions(type));
    const RaggedBatch batch;
    const auto x = at::randn({5, 97}).to(type), wide = at::randn({24, 150}).to(type);
    const auto part = wide.narrow(0, 7, 12).narrow(1, 13, 97);
    const auto expect_same = [&](Ops& ops, const char* name) {
      EXPECT_TRUE(ops.linear(x, part).equal(ops.linear(x, part.contiguous()))) << name;
      EXPECT_THROW(ops.linear(x, at::randn({97, 12}).to(type).t()), c10::Error) << name;
    };
    CpuOps cpu(session, batch);
    expect_same(cpu, "row kernels");
    if (type == at::kFloat) continue;
    for (const kernels::KernelSet* set : sets) {
      FastOps fast(session, batch, *set);
      expect_same(fast, set->name);
    }
  }
}

// Matrices above the size that our own kernels take in bfloat16: libtorch multiplies them, with
// weights as checkpoints map them.
TEST(InferenceOpsLarge, Bfloat16ThroughLibtorchsProducts) {
  const at::NoGradGuard no_grad;
  test::OlmoeConfig config = small_config(false);
  config.hidden_size = 520;
  config.intermediate_size = 516;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 4;
  config.num_experts = 4;
  config.num_experts_per_tok = 2;
  config.num_hidden_layers = 1;
  Decoder model = random_model(config, at::kBFloat16);
  for (at::Tensor* matrix : {&model.layers[0].query, &model.layers[0].key, &model.layers[0].value,
                             &model.layers[0].output, &model.layers[0].router}) {
    *matrix = *matrix / 8;
  }
  const auto exact = run<CpuOps>(widened(model), at::kFloat).hidden;
  const auto error = [&](const Output& output) {
    return (output.hidden.to(at::kFloat) - exact).abs().mean().item<double>();
  };
  at::set_num_threads(1);
  const Output one = run<CpuOps>(model, at::kBFloat16);
  at::set_num_threads(2);
  const Output two = run<CpuOps>(model, at::kBFloat16);
  EXPECT_TRUE(one.hidden.equal(two.hidden)) << "threads change bfloat16 results";
  const double plain = error(run<ReferenceOps>(model, at::kBFloat16));
  EXPECT_GT(plain, 0);
  EXPECT_LT(error(two), 1.5 * plain);
}

INSTANTIATE_TEST_SUITE_P(Normalised, InferenceOps, ::testing::Bool());

}  // namespace
}  // namespace moexray::torch_runtime
