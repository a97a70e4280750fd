#include "moexray/stats/load.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "moexray/core/random.h"
#include "stats_support.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

using test::expect_error;

Eigen::RowVectorXd row_of(std::initializer_list<double> values) {
  Eigen::RowVectorXd row(static_cast<Eigen::Index>(values.size()));
  std::copy(values.begin(), values.end(), row.begin());
  return row;
}

TEST(LoadMetrics, OfOneExpertThatHasAllAreTheLargest) {
  const LoadMetrics one = load_metrics(row_of({0, 0, 12, 0}));
  EXPECT_NEAR(one.cv, std::sqrt(3.0), 1e-15);
  EXPECT_EQ(one.max_over_mean, 4);  // MaxVio E − 1
  EXPECT_EQ(one.entropy, 0);
  EXPECT_EQ(one.effective_share, 0.25);
  EXPECT_EQ(one.gini, 0.75);  // (E − 1)/E
  const LoadMetrics even = load_metrics(row_of({5, 5, 5, 5}));
  EXPECT_EQ(even.cv, 0);
  EXPECT_EQ(even.max_over_mean, 1);
  EXPECT_NEAR(even.entropy, 1, 1e-15);
  EXPECT_NEAR(even.effective_share, 1, 1e-15);
  EXPECT_EQ(even.gini, 0);
  EXPECT_TRUE(std::isnan(load_metrics(row_of({7})).entropy));
  EXPECT_EQ(load_metrics(row_of({7})).effective_share, 1);
  EXPECT_TRUE(std::isnan(load_metrics(row_of({0, 0})).cv));
}

// numpy 2: c.std()/c.mean(), c.max()/c.mean(), -(s*log(s)).sum()/log(8), exp(H)/8, and the sum of
// the Gini coefficient over np.sort(c).
TEST(LoadMetrics, AreThoseOfNumpy) {
  const LoadMetrics metrics = load_metrics(row_of({3, 1, 4, 1, 5, 9, 2, 6}));
  EXPECT_NEAR(metrics.cv, 0.6634504452001011, 1e-14);
  EXPECT_NEAR(metrics.max_over_mean, 2.3225806451612905, 1e-14);
  EXPECT_NEAR(metrics.entropy, 0.8943705121299473, 1e-14);
  EXPECT_NEAR(metrics.effective_share, 0.8027994516529458, 1e-14);
  EXPECT_NEAR(metrics.gini, 0.36693548387096775, 1e-14);
}

TEST(DeviceLoads, FollowThePlacement) {
  const Eigen::RowVectorXd counts = row_of({6, 2, 1, 3, 8});
  // In order: 3 + 2 experts.
  EXPECT_EQ(device_loads(counts, {2, {}}, 0), row_of({9, 11}));
  // Expert 4 has two slots, of which each gets half.
  EXPECT_EQ(device_loads(counts, {2, {{0, 1, 4, 2, 3, 4}}}, 7), row_of({12, 8}));
  // A list for each layer.
  EXPECT_EQ(device_loads(counts, {5, {{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}}}, 1),
            row_of({8, 3, 1, 2, 6}));
}

// Prompts whose tokens choose experts as `choose(prompt, token)` says, at one layer.
struct Routing {
  Signatures signatures;
  RoutedTokens tokens;
};

template <typename Choose>
Routing routing(const RoutingShape& shape, int n_prompts, int n_tokens, Choose choose) {
  std::vector<PromptLabel> labels;
  for (int i = 0; i < n_prompts; ++i) labels.push_back({"p" + std::to_string(100 + i), ""});
  SignatureAccumulator signatures(shape, labels, {});
  TokenAccumulator tokens(shape, labels.size(), {});
  for (int i = 0; i < n_prompts; ++i) {
    for (int t = 0; t < n_tokens; ++t) {
      const std::vector<ExpertId> experts = choose(i, t);
      RoutingRecord record;
      record.pos = t;
      record.experts = experts;
      signatures.add(static_cast<std::size_t>(i), record);
      tokens.add(static_cast<std::size_t>(i), record);
    }
  }
  Routing result{std::move(signatures).finish(), {}};
  result.tokens = std::move(tokens).finish(result.signatures);
  return result;
}

LayerBalance only_layer(const Routing& made, const LoadOptions& options = {}) {
  return load(made.signatures, {}, made.tokens, nullptr, options).layers.at(0);
}

// E[CV²] = (E − k)/(kT); CV is smaller on average, as the square root of a χ² of E − 1 degrees is.
TEST(Load, UniformRoutingHasItsClosedForm) {
  const RoutingShape shape{1, 16, 4};
  for (const int n_tokens : {5, 200, 900}) {  // the last by the normal limit
    const Routing made = routing(shape, 6, n_tokens, [](int i, int t) {
      const ExpertId first = (i + t) % 4 * 4;
      return std::vector<ExpertId>{first, first + 1, first + 2, first + 3};
    });
    const LayerBalance layer = only_layer(made);
    EXPECT_EQ(layer.tokens, 6.0 * n_tokens);
    EXPECT_EQ(layer.uniform.n_draws, 499);
    const double expected = std::sqrt(12 / (4 * layer.tokens)) * (1 - 0.25 / 15);
    EXPECT_NEAR(layer.uniform.mean.cv / expected, 1, 0.03) << n_tokens;
    EXPECT_GT(layer.uniform.limit95.cv, layer.uniform.mean.cv);
    EXPECT_LT(layer.uniform.limit95.entropy, layer.uniform.mean.entropy);
    // 1 − H ≈ CV²/(2 ln E).
    EXPECT_NEAR((1 - layer.uniform.mean.entropy) * 2 * std::log(16) / (3 / layer.tokens), 1, 0.1);
    EXPECT_NEAR(layer.expected_dead, 16 * std::pow(0.75, layer.tokens), 1e-12);
  }
}

TEST(Load, TheNormalLimitContinuesTheDraws) {
  // Two sizes around 1,000 expected selections an expert.
  std::vector<LayerBalance> layers;
  for (const int n_tokens : {1000, 1001}) {
    layers.push_back(only_layer(routing({1, 8, 2}, 4, n_tokens, [](int i, int t) {
      const ExpertId first = (i + t) % 4 * 2;
      return std::vector<ExpertId>{first, first + 1};
    })));
  }
  const LoadMetrics& a = layers[0].uniform.mean;
  const LoadMetrics& b = layers[1].uniform.mean;
  EXPECT_NE(a.cv, b.cv);
  EXPECT_NEAR(b.cv / a.cv, 1, 0.06);
  EXPECT_NEAR((b.max_over_mean - 1) / (a.max_over_mean - 1), 1, 0.06);
  EXPECT_NEAR(b.gini / a.gini, 1, 0.06);
}

// All tokens of a prompt choose one expert: prompts count, not tokens.
TEST(Load, ClustersAloneAreAsFewTokensAsThereAreUnits) {
  const Routing made =
      routing({1, 4, 1}, 40, 10, [](int i, int) { return std::vector<ExpertId>{i % 4}; });
  const LayerBalance layer = only_layer(made);
  EXPECT_EQ(layer.load.cv, 0);
  EXPECT_NEAR(layer.uniform.mean.cv, std::sqrt(3.0 / 400) * (1 - 0.25 / 3), 0.006);
  EXPECT_NEAR(layer.clusters.mean.cv, std::sqrt(3.0 / 40) * (1 - 0.25 / 3), 0.02);
  // Four groups of ten prompts are too few to tell.
  std::vector<std::string> groups;
  for (int i = 0; i < 40; ++i) groups.push_back("g" + std::to_string(i % 4));
  const LoadResult grouped = load(made.signatures, groups, made.tokens, nullptr, {});
  EXPECT_EQ(grouped.n_units, 4U);
  EXPECT_TRUE(grouped.grouped);
  EXPECT_EQ(grouped.layers[0].clusters.n_draws, 0);
  EXPECT_TRUE(std::isnan(grouped.layers[0].clusters.mean.cv));
}

// Independent tokens, experts of unequal popularity: popularity is not what clusters alone give.
TEST(Load, ClustersOfIndependentTokensAreUniformRouting) {
  RandomStream random(7);
  const Routing made = routing({1, 8, 1}, 60, 25, [&](int, int) {
    const auto drawn = static_cast<ExpertId>(random.below(14));
    return std::vector<ExpertId>{drawn < 7 ? 0 : drawn - 6};
  });
  const LayerBalance layer = only_layer(made);
  EXPECT_GT(layer.load.cv, 1);
  EXPECT_NEAR(layer.clusters.mean.cv / layer.uniform.mean.cv, 1, 0.1);
  EXPECT_NEAR(layer.clusters.mean.gini / layer.uniform.mean.gini, 1, 0.1);
}

TEST(Load, CountsExpertsThatNobodyUses) {
  const Routing made =
      routing({1, 4, 1}, 20, 3, [](int i, int) { return std::vector<ExpertId>{i % 2 * 2}; });
  const LoadResult result = load(made.signatures, {}, made.tokens, nullptr, {});
  EXPECT_EQ(result.layers[0].dead, (std::vector<int>{1, 3}));
  EXPECT_NEAR(result.layers[0].expected_dead, 4 * std::pow(0.75, 60), 1e-12);
  EXPECT_NEAR(result.dead_bound, 1 - std::pow(0.05, 1.0 / 20), 1e-15);
  // They have the mean design effect of the others under clusters alone, here 3.
  EXPECT_NEAR(result.layers[0].clusters.mean.cv, std::sqrt(3.0 / 20) * (1 - 0.25 / 3), 0.04);
}

TEST(Load, OfDevicesIsMeanOverLargest) {
  const Routing made = routing({1, 4, 1}, 6, 4, [](int, int t) {
    return std::vector<ExpertId>{t == 3 ? 1 : t};  // 0, 1, 2, 1
  });
  LoadOptions options;
  options.placement = {2, {}};
  const LoadResult result = load(made.signatures, {}, made.tokens, nullptr, options);
  EXPECT_NEAR(result.layers[0].load.balancedness, 12.0 / 18, 1e-15);
  EXPECT_NEAR(result.balancedness, 12.0 / 18, 1e-15);
  EXPECT_GT(result.layers[0].uniform.mean.balancedness, 0.7);
  options.placement = {2, {{0, 1, 3, 2, 1, 3}}};
  EXPECT_NEAR(only_layer(made, options).load.balancedness, 1, 1e-15);
  options.placement = {2, {{0, 1, 2, 2}}};
  expect_error(ErrorKind::runtime, "placement", [&] { only_layer(made, options); });
  options.placement = {2, {{0, 1, 2, 4}}};
  expect_error(ErrorKind::runtime, "placement", [&] { only_layer(made, options); });
}

TEST(Load, OfBatchesIsTakenInOrderAndMixed) {
  // Batches of one prompt each: one expert has all; mixed, few are like that.
  const Routing made =
      routing({1, 4, 1}, 8, 5, [](int i, int) { return std::vector<ExpertId>{i % 4}; });
  LoadOptions options;
  options.window = 5;
  const LoadResult result = load(made.signatures, {}, made.tokens, nullptr, options);
  EXPECT_EQ(result.n_windows, 8);
  const WindowLoad& window = result.layers[0].window;
  EXPECT_EQ(window.mean, 3);
  EXPECT_EQ(window.largest, 3);
  EXPECT_LT(window.shuffled, 1.6);
  EXPECT_NEAR(window.uniform, window.shuffled, 0.5);
  // Whole batches only, tokens 0–15 and 16–31 of 40: experts 5, 5, 5, 1 times and 5, 5, 2, 4.
  options.window = 16;
  const LoadResult larger = load(made.signatures, {}, made.tokens, nullptr, options);
  EXPECT_EQ(larger.n_windows, 2);
  EXPECT_EQ(larger.layers[0].window.mean, 0.25);
  options.window = 41;
  EXPECT_EQ(load(made.signatures, {}, made.tokens, nullptr, options).notices.size(), 1U);
  expect_error(ErrorKind::runtime, "tokens",
               [&] { load(made.signatures, {}, {}, nullptr, options); });
}

TEST(Load, DoesNotDependOnThreads) {
  const Routing made = routing({1, 8, 2}, 12, 9, [](int i, int t) {
    return std::vector<ExpertId>{(i + t) % 4, 4 + (i * t) % 4};
  });
  LoadOptions options;
  options.placement = {3, {}};
  const LayerBalance one = only_layer(made, options);
  options.n_threads = 3;
  const LayerBalance three = only_layer(made, options);
  EXPECT_EQ(one.clusters.mean.gini, three.clusters.mean.gini);
  EXPECT_EQ(one.uniform.limit95.balancedness, three.uniform.limit95.balancedness);
}

// Counts of which k is not known: nothing to draw uniformly, but units still differ.
TEST(Load, WithoutKnownKHasNoUniformRouting) {
  std::vector<PromptLabel> labels;
  for (int i = 0; i < 8; ++i) labels.push_back({"p" + std::to_string(i), ""});
  SignatureAccumulator accumulator({1, 4, 0}, labels, {});
  for (int i = 0; i < 8; ++i) {
    const std::vector<std::int64_t> counts = {4, i, 2, 6 - i % 3};
    accumulator.add_counts(static_cast<std::size_t>(i), counts);
  }
  const Signatures signatures = std::move(accumulator).finish();
  const LayerBalance layer = load(signatures, {}, {}, nullptr, {}).layers[0];
  EXPECT_EQ(layer.uniform.n_draws, 0);
  EXPECT_TRUE(std::isnan(layer.tokens));
  EXPECT_TRUE(std::isnan(layer.expected_dead));
  EXPECT_GT(layer.clusters.mean.cv, 0);
}

TEST(RouterOutputs, GiveTheLossesTheirKnownValues) {
  const RoutingShape shape{1, 4, 1};
  const Routing made = routing(shape, 5, 4, [](int, int) { return std::vector<ExpertId>{2}; });
  const auto losses = [&](const std::vector<float>& logits) {
    RouterOutputAccumulator accumulator(shape, 5, {});
    for (std::size_t i = 0; i < 5; ++i) {
      for (int t = 0; t < 4; ++t) {
        RoutingRecord record;
        record.pos = t;
        accumulator.add(i, record, logits);
      }
    }
    const RouterOutputs outputs = accumulator.finish(made.signatures);
    return load(made.signatures, {}, made.tokens, &outputs, {}).layers[0];
  };
  // Even probabilities: 1, and (ln 4)²; with all of them at the expert that has all selections: E.
  EXPECT_NEAR(losses({0, 0, 0, 0}).switch_loss, 1, 1e-14);
  EXPECT_NEAR(losses({0, 0, 0, 0}).z_loss, std::log(4.0) * std::log(4.0), 1e-14);
  EXPECT_NEAR(losses({0, 0, 1000, 0}).switch_loss, 4, 1e-12);
  EXPECT_NEAR(losses({0, 0, 1000, 0}).z_loss, 1e6, 1e-6);
  // softmax(0, 1, 2, 0): e² of 2 + e + e².
  const double sum = 2 + std::exp(1.0) + std::exp(2.0);
  EXPECT_NEAR(losses({0, 1, 2, 0}).switch_loss, 4 * std::exp(2.0) / sum, 1e-14);
  EXPECT_TRUE(std::isnan(only_layer(made).switch_loss));
  RouterOutputAccumulator accumulator(shape, 5, {});
  expect_error(ErrorKind::data, "logits",
               [&] { accumulator.add(0, {}, std::vector<float>{1, 2, 3}); });
  expect_error(ErrorKind::data, "logits",
               [&] { accumulator.add(0, {}, std::vector<float>{1, 2, 3, INFINITY}); });
}

}  // namespace
}  // namespace moexray::stats
