// The hand-written backward passes against libtorch's own, from plain tensor operations.

#include "training/gradients.h"

#include <gtest/gtest.h>

#include <functional>

#include "support/tiny_checkpoint.h"

namespace moexray::torch_runtime {
namespace {

test::OlmoeConfig small_config() {
  test::OlmoeConfig config = test::tiny_config();
  config.hidden_size = 24;
  config.intermediate_size = 10;
  config.num_hidden_layers = 1;
  config.num_experts = 6;
  config.max_position_embeddings = 300;
  return config;
}

at::Tensor leaf(std::vector<std::int64_t> shape) {
  return at::randn(shape).set_requires_grad(true);
}

// Runs `f` on leaves, sends a fixed random gradient back, and returns the output and the leaves'
// gradients.
std::vector<at::Tensor> run(std::vector<at::Tensor>& leaves, const at::Tensor& direction,
                            const std::function<at::Tensor()>& f) {
  for (at::Tensor& tensor : leaves) tensor.mutable_grad() = at::Tensor();
  const auto y = f();
  (y * direction).sum().backward();
  std::vector<at::Tensor> results = {y.detach()};
  for (const at::Tensor& tensor : leaves) results.push_back(tensor.grad().clone());
  return results;
}

void expect_equal(std::vector<at::Tensor> leaves, const at::Tensor& direction,
                  const std::function<at::Tensor()>& ours,
                  const std::function<at::Tensor()>& plain) {
  const auto a = run(leaves, direction, ours), b = run(leaves, direction, plain);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double scale = b[i].abs().max().item<double>();
    ASSERT_GT(scale, 0) << "output " << i << " has no signal";
    EXPECT_LT((a[i] - b[i]).abs().max().item<double>(), 2e-5 * scale)
        << (i == 0 ? "value" : "gradient") << ' ' << i;
  }
}

class Gradients : public ::testing::Test {
 protected:
  void SetUp() override {
    at::manual_seed(7);
    at::set_num_threads(2);
  }

  test::OlmoeConfig config_ = small_config();
  LayerSpec layer_ = test::model_config(config_).spec.layers.front();
  RotaryTable table_ = make_rotary_table(layer_.attention.rotary, config_.max_position_embeddings);
};

TEST_F(Gradients, RmsNorm) {
  TrainingOps ops(table_, {1, 9}, {});
  const auto x = leaf({9, 24}), w = leaf({24});
  expect_equal(
      {x, w}, at::randn({9, 24}), [&] { return ops.rms_norm({1e-5}, x, w); },
      [&] { return x * (x.pow(2).mean(-1, true) + 1e-5).rsqrt() * w; });
}

// [sequences, heads, T, d], rotated the way transformers writes it.
at::Tensor rotated_heads(const at::Tensor& x, std::int64_t n_sequences, std::int64_t n_heads,
                         const RotaryTable* table) {
  const std::int64_t T = x.size(0) / n_sequences, d = x.size(1) / n_heads;
  const auto heads = x.view({n_sequences, T, n_heads, d}).transpose(1, 2);
  if (table == nullptr) return heads;
  const auto cos = at::cat({table->cos, table->cos}, 1).narrow(0, 0, T);
  const auto sin = at::cat({table->sin, table->sin}, 1).narrow(0, 0, T);
  const auto halves = heads.chunk(2, -1);
  return heads * cos + at::cat({-halves[1], halves[0]}, -1) * sin;
}

TEST_F(Gradients, AttentionWithGroupedHeads) {
  // More positions than one query block.
  const std::int64_t B = 2, T = 150, d = config_.head_dim();
  TrainingOps ops(table_, {B, T}, {});
  const auto q = leaf({B * T, 4 * d}), k = leaf({B * T, 2 * d}), v = leaf({B * T, 2 * d});
  const auto plain = [&] {
    const auto Q = rotated_heads(q, B, 4, &table_);
    const auto K = rotated_heads(k, B, 2, &table_).repeat_interleave(2, 1);
    const auto V = rotated_heads(v, B, 2, nullptr).repeat_interleave(2, 1);
    const auto mask = at::ones({T, T}, at::kBool).triu(1);
    const auto scores = (Q.matmul(K.transpose(-1, -2)) / std::sqrt(static_cast<double>(d)))
                            .masked_fill(mask, -1e30);
    return scores.softmax(-1).matmul(V).transpose(1, 2).reshape({B * T, 4 * d});
  };
  expect_equal(
      {q, k, v}, at::randn({B * T, 4 * d}),
      [&] { return ops.attention(layer_.attention, 0, q, k, v); }, plain);
}

class RouterGradients : public Gradients, public ::testing::WithParamInterface<bool> {};

TEST_P(RouterGradients, WeightsAndRouterLosses) {
  RouterSpec router = layer_.moe()->router;
  router.normalise = GetParam();
  const std::int64_t n = 40, E = config_.num_experts, k = config_.num_experts_per_tok;
  const RouterLosses losses{0.3, 0.2};
  TrainingOps ops(table_, {1, n}, losses);
  const auto logits = leaf({n, E});
  const auto direction = at::randn({n, k});
  double balance = 0;
  // Both sides see `weights · direction` plus the router losses; ours adds the latter in the
  // backward pass.
  const auto a = [&] {
    std::vector<at::Tensor> leaves = {logits};
    return run(leaves, direction, [&] { return ops.route(router, 0, {}, logits).weights; });
  }();
  logits.mutable_grad() = at::Tensor();
  const auto p = logits.softmax(-1);
  const auto top = p.topk(k);
  const auto values = std::get<0>(top), ids = std::get<1>(top);
  const auto weights = router.normalise ? values / values.sum(-1, true) : values;
  const auto shares =
      at::bincount(ids.reshape({-1}), {}, E).to(at::kFloat) / static_cast<double>(n * k);
  const auto load = static_cast<double>(E) * (shares * p.mean(0)).sum();
  balance = load.item<double>();
  const auto z = logits.logsumexp(-1).pow(2).mean();
  ((weights * direction).sum() + losses.load_balancing_weight * load + losses.z_weight * z)
      .backward();
  EXPECT_LT((a[0] - weights).abs().max().item<double>(), 1e-6);
  EXPECT_LT((a[1] - logits.grad()).abs().max().item<double>(), 1e-6);
  EXPECT_NEAR(ops.load_balancing_loss(), balance, 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Normalised, RouterGradients, ::testing::Bool());

TEST_F(Gradients, MixExperts) {
  const std::int64_t n = 30, H = 24, I = 10, E = 6, k = 2;
  TrainingOps ops(table_, {1, n}, {});
  const auto x = leaf({n, H}), weights = leaf({n, k});
  ExpertWeights experts;
  experts.gate_up_stack = leaf({E, 2 * I, H});
  experts.down_stack = leaf({E, H, I});
  // Expert 5 gets no token: its gradient must be zero, not left over.
  const auto ids =
      at::stack({at::arange(n).remainder(5), (at::arange(n) + 2).remainder(5)}, 1).to(at::kInt);
  const auto plain = [&] {
    auto out = at::zeros({n, H});
    for (std::int64_t j = 0; j < k; ++j) {
      const auto e = ids.select(1, j).to(at::kLong);
      const auto hidden = at::einsum("noh,nh->no", {experts.gate_up_stack.index_select(0, e), x});
      const auto activation = at::silu(hidden.narrow(1, 0, I)) * hidden.narrow(1, I, I);
      const auto y = at::einsum("nhi,ni->nh", {experts.down_stack.index_select(0, e), activation});
      out = out + weights.narrow(1, j, 1) * y;
    }
    return out;
  };
  expect_equal(
      {x, weights, experts.gate_up_stack, experts.down_stack}, at::randn({n, H}),
      [&] { return ops.mix_experts(*layer_.moe(), x, {at::Tensor(), ids, weights}, experts); },
      plain);
  EXPECT_EQ(experts.down_stack.grad()[5].abs().sum().item<double>(), 0);
}

TEST_F(Gradients, CrossEntropy) {
  // More rows than one block.
  const auto h = leaf({600, 24}), w = leaf({50, 24});
  const auto targets = at::randint(50, {600}, at::kInt);
  expect_equal(
      {h, w}, at::full({}, 3.0), [&] { return cross_entropy(h, w, targets); },
      [&] { return at::nll_loss(h.matmul(w.t()).log_softmax(-1), targets.to(at::kLong)); });
}

}  // namespace
}  // namespace moexray::torch_runtime
