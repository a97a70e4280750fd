// Routers that watch a model: what they choose, and that they change nothing.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "moexray/runtime/shadows.h"
#include "parity_support.h"
#include "support/double_policy.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"

namespace moexray::parity {
namespace {

struct Kernels {
  const char* dtype;
  const char* kernels;
  bool by_row;  ///< a row's results do not depend on the others
};

class ShadowOf : public testing::TestWithParam<Kernels> {
 protected:
  ShadowOf() {
    test::write_tiny_checkpoint(temporary_.path() / "m", test::tiny_config(),
                                {.type = WeightType::bf16});
    checkpoint_ = std::make_unique<Checkpoint>(temporary_.path() / "m");
  }

  std::unique_ptr<Model> load(int n_threads = 1) const {
    return runtime().load(
        *checkpoint_,
        {.dtype = GetParam().dtype, .n_threads = n_threads, .kernels = GetParam().kernels});
  }
  ShadowRouters routers(std::vector<std::string> texts) const {
    return {parse_shadows(texts), *checkpoint_};
  }
  std::string self() const { return "router:" + checkpoint_->directory().string(); }

  static std::vector<std::vector<TokenId>> sequences() {
    std::vector<std::vector<TokenId>> all;
    for (int i = 0; i < 7; ++i) {
      std::vector<TokenId> tokens(static_cast<std::size_t>(1 + i * 3));
      for (std::size_t t = 0; t < tokens.size(); ++t) {
        tokens[t] = static_cast<TokenId>((i * 31 + static_cast<int>(t) * 17) % 64);
      }
      all.push_back(tokens);
    }
    return all;
  }

  struct Seen {
    RouterRecorder own;
    std::vector<RouterRecorder> shadows;
    std::vector<float> logits;
  };

  // One pass with these sequences.
  static Seen run(Model& model, const std::vector<std::vector<TokenId>>& sequences,
                  const ShadowRouters* routers, const RoutingPolicy* policy = nullptr,
                  bool wants_logits = true, const BiasFit& fit = {}) {
    Seen seen{RouterRecorder(model.config(), wants_logits), {}, {}};
    std::vector<Shadow> shadows;
    if (routers != nullptr) {
      const auto watching = routers->watching();
      seen.shadows.assign(watching.size(), RouterRecorder(model.config(), wants_logits));
      for (std::size_t i = 0; i < watching.size(); ++i) {
        shadows.push_back({watching[i].router, watching[i].biases, &seen.shadows[i]});
      }
    }
    std::vector<std::int64_t> capacities;
    std::vector<SequenceChunk> chunks;
    for (const auto& tokens : sequences) {
      chunks.push_back({static_cast<int>(chunks.size()), tokens});
      capacities.push_back(static_cast<std::int64_t>(tokens.size()));
    }
    const auto session = model.new_session(capacities);
    seen.logits = model.forward(*session, chunks, {&seen.own, policy, {}, shadows, fit});
    return seen;
  }

  static void expect_same(const RouterRecorder& a, const RouterRecorder& b) {
    EXPECT_EQ(a.experts(), b.experts());
    EXPECT_EQ(a.weights(), b.weights());
    for (int layer = 0; layer < 2; ++layer) EXPECT_EQ(a.logits(layer), b.logits(layer));
  }

  test::TemporaryDirectory temporary_;
  std::unique_ptr<Checkpoint> checkpoint_;
};

TEST_P(ShadowOf, TheOwnRouterChoosesTheSame) {
  const auto model = load();
  ShadowRouters shadows = routers({self()});
  shadows.prepare(*model);
  const Seen seen = run(*model, sequences(), &shadows);
  expect_same(seen.shadows[0], seen.own);
}

TEST_P(ShadowOf, NothingElseChanges) {
  const auto model = load();
  ShadowRouters shadows = routers({"random:1", "permuted-dims:1", self()});
  shadows.prepare(*model);
  shadows.calibrate(*model, sequences(), nullptr);
  const Seen with = run(*model, sequences(), &shadows);
  const Seen without = run(*model, sequences(), nullptr);
  expect_same(with.own, without.own);
  EXPECT_EQ(with.logits, without.logits);
  EXPECT_NE(with.shadows[0].experts(), with.own.experts());
  EXPECT_NE(with.shadows[2].experts(), with.own.experts());
  EXPECT_NE(with.shadows[2].experts(), with.shadows[0].experts());
}

TEST_P(ShadowOf, BatchAndThreadsDoNotMatter) {
  if (!GetParam().by_row) GTEST_SKIP() << "the model's own routing depends on them too";
  const auto model = load(), threaded = load(3);
  ShadowRouters shadows = routers({"random:3"}), more = routers({"random:3"});
  shadows.prepare(*model);
  shadows.calibrate(*model, sequences(), nullptr);
  more.prepare(*threaded);
  more.calibrate(*threaded, sequences(), nullptr);
  EXPECT_EQ(shadows.biases(), more.biases());
  const auto all = sequences();
  const Seen batch = run(*model, all, &shadows), other = run(*threaded, all, &more);
  for (std::size_t form = 0; form < 2; ++form) {
    expect_same(batch.shadows[form], other.shadows[form]);
    std::int64_t begin = 0;
    for (const auto& tokens : all) {
      const Seen alone = run(*model, {tokens}, &shadows);
      const std::int64_t end = begin + std::ssize(tokens);
      EXPECT_EQ(alone.shadows[form].experts(), batch.shadows[form].experts(begin, end));
      EXPECT_EQ(alone.shadows[form].weights(), batch.shadows[form].weights(begin, end));
      begin = end;
    }
  }
}

// In the pass that fits them biases are as good as known.
TEST_P(ShadowOf, APassCanFitItsOwnBiases) {
  const auto model = load(2);
  ShadowRouters before = routers({"random:1,2", self()}), within = routers({"random:1,2", self()});
  before.prepare(*model);
  before.calibrate(*model, sequences(), nullptr);
  within.prepare(*model);
  const BiasFit fit = within.fitting();
  const Seen expected = run(*model, sequences(), &before);
  const Seen seen = run(*model, sequences(), &within, nullptr, true, fit);
  EXPECT_EQ(within.biases(), before.biases());
  EXPECT_NE(within.biases()[1], within.biases()[3]);
  EXPECT_NE(expected.shadows[1].experts(), expected.shadows[0].experts());
  expect_same(seen.own, expected.own);
  EXPECT_EQ(seen.logits, expected.logits);
  for (std::size_t i = 0; i < 5; ++i) expect_same(seen.shadows[i], expected.shadows[i]);
}

// More routers than are multiplied together choose as each by itself.
TEST_P(ShadowOf, ManyWatchAsOneDoes) {
  const auto model = load(2);
  std::string seeds = "random:1";
  for (int seed = 2; seed <= 40; ++seed) seeds += "," + std::to_string(seed);
  ShadowRouters many = routers({seeds}), one = routers({"random:37"});
  for (ShadowRouters* shadows : {&many, &one}) {
    shadows->prepare(*model);
    shadows->calibrate(*model, sequences(), nullptr);
  }
  const Seen all = run(*model, sequences(), &many), alone = run(*model, sequences(), &one);
  EXPECT_EQ(many.biases()[73], one.biases()[1]);
  expect_same(all.shadows[72], alone.shadows[0]);
  expect_same(all.shadows[73], alone.shadows[1]);
}

TEST_P(ShadowOf, BiasesMatchTheLoadAndDoNotWeigh) {
  const auto model = load();
  ShadowRouters shadows = routers({"random:1"});
  shadows.prepare(*model);
  shadows.calibrate(*model, sequences(), nullptr);
  ASSERT_EQ(shadows.biases()[1].size(), 16U);
  const Seen seen = run(*model, sequences(), &shadows);
  const auto distance_of = [&](const RouterRecorder& shadow) {
    std::vector<int> load(16, 0);
    const auto own = seen.own.experts(), chosen = shadow.experts();
    const std::size_t n_layer = own.size() / 2;
    for (std::size_t i = 0; i < own.size(); ++i) {
      const std::size_t layer = i / n_layer * 8;
      ++load[layer + static_cast<std::size_t>(own[i])];
      --load[layer + static_cast<std::size_t>(chosen[i])];
    }
    int distance = 0;
    for (const int difference : load) distance += std::abs(difference);
    return distance;
  };
  EXPECT_LT(2 * distance_of(seen.shadows[1]), distance_of(seen.shadows[0]));
  // Both forms have the same logits; an expert that both choose has the same weight.
  EXPECT_EQ(seen.shadows[0].logits(0), seen.shadows[1].logits(0));
  const auto a = seen.shadows[0].experts(), b = seen.shadows[1].experts();
  const auto wa = seen.shadows[0].weights(), wb = seen.shadows[1].weights();
  int n_common = 0;
  for (std::size_t i = 0; i < a.size(); i += 2) {
    for (std::size_t j = i; j < i + 2; ++j) {
      for (std::size_t l = i; l < i + 2; ++l) {
        if (a[j] != b[l]) continue;
        ++n_common;
        EXPECT_EQ(wa[j], wb[l]);
      }
    }
  }
  EXPECT_GT(n_common, 10);
}

TEST_P(ShadowOf, PermutedRowsPermuteTheExperts) {
  const auto model = load();
  // The model's own routers with their rows in another order.
  const std::vector<std::size_t> order = {3, 1, 7, 0, 6, 2, 5, 4};
  std::vector<std::vector<std::byte>> made;
  ShadowWeights weights;
  for (const WeightSlot& slot : checkpoint_->weights()) {
    if (slot.role != WeightRole::router) continue;
    const TensorView& own = checkpoint_->tensor(slot.name);
    const std::size_t n_row = own.bytes.size() / order.size();
    std::vector<std::byte> rows;
    for (const std::size_t row : order) {
      const auto bytes = own.bytes.subspan(row * n_row, n_row);
      rows.insert(rows.end(), bytes.begin(), bytes.end());
    }
    made.push_back(std::move(rows));
    weights.layers.push_back({own.type, own.shape, {}});
  }
  for (std::size_t i = 0; i < made.size(); ++i) weights.layers[i].bytes = made[i];
  const auto router = model->prepare_shadow(weights);
  RouterRecorder own(model->config()), shadow(model->config());
  const Shadow watching{router.get(), {}, &shadow};
  const std::vector<TokenId> tokens = sequences().back();
  const std::int64_t capacity = std::ssize(tokens);
  const auto session = model->new_session({&capacity, 1});
  const SequenceChunk chunk{0, tokens};
  model->forward(*session, {&chunk, 1}, {&own, nullptr, {}, {&watching, 1}});
  auto mapped = shadow.experts();
  for (ExpertId& expert : mapped) {
    expert = static_cast<ExpertId>(order[static_cast<std::size_t>(expert)]);
  }
  EXPECT_EQ(mapped, own.experts());
  // Their probabilities are divided by a sum in another order.
  EXPECT_LT(largest_difference(shadow.weights(), own.weights()), 1e-6);
}

// The hidden states are as a policy leaves them, the shadow's choice is free of it.
TEST_P(ShadowOf, APolicyDecidesWhatTheyHear) {
  const auto model = load();
  const test::ShiftingPolicy policy;
  ShadowRouters shadows = routers({self()});
  shadows.prepare(*model);
  const Seen under = run(*model, sequences(), &shadows, &policy);
  const Seen free = run(*model, sequences(), &shadows);
  for (int layer = 0; layer < 2; ++layer) {
    EXPECT_EQ(under.shadows[0].logits(layer), under.own.logits(layer));
  }
  const std::int64_t n = under.own.n_rows();
  const auto of_layer = [&](const RouterRecorder& recorder, std::size_t layer) {
    const auto all = recorder.experts(0, n);
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(layer * all.size() / 2);
    return std::vector<ExpertId>(begin, begin + static_cast<std::ptrdiff_t>(all.size() / 2));
  };
  // Nothing comes before the first layer's router that a policy could have changed.
  EXPECT_EQ(of_layer(under.shadows[0], 0), of_layer(free.own, 0));
  EXPECT_NE(of_layer(under.own, 0), of_layer(free.own, 0));
  EXPECT_NE(of_layer(under.shadows[0], 1), of_layer(free.own, 1));
}

TEST_P(ShadowOf, WeightsThatDoNotFitAreRefused) {
  const auto model = load();
  ShadowWeights weights;
  test::expect_error(ErrorKind::data, "2 matrices of 8 x 16",
                     [&] { model->prepare_shadow(weights); });
  const auto other = std::make_unique<ShadowRouter>();
  RouterRecorder recorder(model->config());
  const Shadow strange{other.get(), {}, &recorder};
  const std::int64_t capacity = 1;
  const auto session = model->new_session({&capacity, 1});
  const std::vector<TokenId> token = {3};
  const SequenceChunk chunk{0, token};
  test::expect_error(ErrorKind::data, "no router of this model", [&] {
    model->forward(*session, {&chunk, 1}, {nullptr, nullptr, {}, {&strange, 1}});
  });
}

INSTANTIATE_TEST_SUITE_P(Kernels, ShadowOf,
                         testing::Values(Kernels{"float32", "fast", true},
                                         Kernels{"bfloat16", "fast", true},
                                         Kernels{"bfloat16", "plain", false}),
                         [](const auto& test) {
                           return std::string(test.param.dtype) + "_" + test.param.kernels;
                         });

}  // namespace
}  // namespace moexray::parity
