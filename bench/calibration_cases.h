#pragma once

// Cases whose truth is known, for bench/inference_calibration and its short form among the tests.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "fold_models.h"
#include "moexray/stats/classify.h"
#include "moexray/stats/folds.h"
#include "moexray/stats/logistic.h"
#include "moexray/stats/units.h"
#include "simulated_routing.h"
#include "type_routing.h"

namespace moexray::bench {

using namespace moexray::stats;

// Categories that differ in their expert rates; prompts differ from one another too.
struct PromptWorldOptions {
  double effect = 0;  // standard deviation of the logarithms of the rates between categories
  int n_layers = 4;
  int n_experts = 16;
  double prompt_effect = 0.7;  // and between prompts, of every expert by itself
  int n_selections = 120;      // a layer
};

// Signatures whose counts are multinomial around log-normal rates of each prompt.
class PromptWorld {
 public:
  PromptWorld(const PromptWorldOptions& options, std::uint64_t seed) : o_(options), random_(seed) {
    const Eigen::Index d = static_cast<Eigen::Index>(o_.n_layers) * o_.n_experts;
    rates_ = Matrix(n_categories, d);
    for (Eigen::Index j = 0; j < d; ++j) rates_.col(j).setConstant(random_.normal());
    for (double& rate : rates_.reshaped<Eigen::RowMajor>()) rate += o_.effect * random_.normal();
  }

  // Of n_prompts prompts of every category.
  Signatures draw(int n_prompts) {
    Signatures s;
    s.shape = {o_.n_layers, o_.n_experts, 2};
    const int n = n_prompts * n_categories;
    s.values = Matrix::Zero(n, rates_.cols());
    for (int i = 0; i < n; ++i) {
      const int c = i % n_categories;
      s.ids.push_back("p" + std::to_string(i));
      s.categories.push_back("c" + std::to_string(c));
      s.n_tokens.push_back(o_.n_selections / 2);
      for (int l = 0; l < o_.n_layers; ++l) draw_layer(i, c, l, s.values);
    }
    return s;
  }

  void reseed(std::uint64_t seed) { random_ = RandomStream(seed); }

  static constexpr int n_categories = 4;

 private:
  void draw_layer(int i, int c, int l, Matrix& values) {
    std::vector<double> sums;
    double sum = 0;
    for (int e = 0; e < o_.n_experts; ++e) {
      const double rate = rates_(c, l * o_.n_experts + e);
      sum += std::exp(rate + o_.prompt_effect * random_.normal());
      sums.push_back(sum);
    }
    for (int t = 0; t < o_.n_selections; ++t) {
      const double u = random_.uniform() * sum;
      const auto e = std::upper_bound(sums.begin(), sums.end() - 1, u) - sums.begin();
      values(i, l * o_.n_experts + e) += 1.0 / o_.n_selections;
    }
  }

  PromptWorldOptions o_;
  RandomStream random_;
  Matrix rates_;  // [K, L·E] logarithms
};

// Accuracy, on new prompts, of the classifier trained on all prompts.
inline double true_accuracy(const Signatures& train, const Signatures& test) {
  const CategoryIndex categories = index_categories(train);
  const CategoryIndex truth = index_categories(test);
  const Standardizer standardizer(train.values);
  const LogisticModel model = fit_logistic(standardizer.apply(train.values), categories.of_prompt,
                                           PromptWorld::n_categories, {.tolerance = 1e-4});
  const std::vector<int> predicted = model.predict(standardizer.apply(test.values));
  double n = 0;
  for (std::size_t i = 0; i < predicted.size(); ++i) n += predicted[i] == truth.of_prompt[i];
  return n / static_cast<double>(predicted.size());
}

struct AccuracyOutcome {
  double truth = 0;
  std::array<double, 2> nested = {};
  std::array<double, 2> wilson = {};
};

// Data set `i` of a world that is the same for all.
inline AccuracyOutcome accuracy_outcome(const PromptWorldOptions& options, std::uint64_t seed,
                                        int i, int n_repetitions) {
  PromptWorld world(options, seed);
  const std::uint64_t own = RandomStream(seed, "data set " + std::to_string(i))();
  world.reseed(own);
  const Signatures train = world.draw(20);
  const ClassifyResult result =
      classify(train, {.seed = own, .n_nested_repetitions = n_repetitions});
  return {true_accuracy(train, world.draw(500)), result.accuracy.ci95, result.accuracy.wilson95};
}

inline bool covers(const std::array<double, 2>& interval, double truth) {
  return interval[0] <= truth && truth <= interval[1];
}

// How the routing that token types alone would give is learned.
enum class TypeRule {
  seen_types,  // as confounds() does: own prompt left out, types seen at least 5 times
  all_types,   // own prompt left out; a type that was not seen is routed as tokens are on average
  own_prompt,  // the same, and a training prompt counts among those it is compared with
};

inline FeatureMaker residual(TypeRule rule, const RoutedTokens& tokens, const Matrix& signatures) {
  const auto types =
      std::make_shared<const TypeRouting>(tokens, rule == TypeRule::seen_types ? 5 : 1);
  if (rule == TypeRule::seen_types) {
    return [types](const SplitRows& rows) {
      const TypeSignatures s = types->signatures(rows);
      return FeatureBlocks{{s.observed - s.expected, true}};
    };
  }
  return [types, rule, &signatures](const SplitRows& rows) {
    std::vector<Eigen::Index> order = rows.train;
    order.insert(order.end(), rows.test.begin(), rows.test.end());
    // A test prompt is compared with all training prompts, which include a training prompt itself.
    const bool leaves_out = rule == TypeRule::all_types;
    const TypeSignatures s = types->signatures(leaves_out ? rows : SplitRows{rows.train, order});
    const auto n = static_cast<Eigen::Index>(order.size());
    const Eigen::RowVectorXd mean = signatures(rows.train, Eigen::all).colwise().mean();
    Matrix values = signatures(order, Eigen::all) -
                    s.coverage.tail(n).asDiagonal() * s.expected.bottomRows(n) -
                    (1 - s.coverage.tail(n).array()).matrix() * mean;
    return FeatureBlocks{{std::move(values), true}};
  };
}

// p of the permutation test of confounds() for any features.
inline double permutation_p(const FeatureMaker& features, const Signatures& s, int n_permutations,
                            std::uint64_t seed) {
  const CategoryIndex categories = index_categories(s);
  const Units units = make_units(s.ids, categories);
  constexpr int n_folds = 5;
  const std::vector<int> folds = grouped_folds(s.ids, categories, units, n_folds, seed);
  const PipelineOptions options{.grid = shared_grid, .unit_size = true};
  const CoordinateStore shared = shared_coordinates(features, folds, n_folds, options, 1);
  const auto n_correct = [&](const std::vector<int>& labels) {
    FoldModels models(features, labels, static_cast<int>(categories.names.size()), folds, n_folds,
                      options, &shared);
    const std::vector<int> predicted = held_out_classes(models, labels.size(), n_folds);
    return std::inner_product(predicted.begin(), predicted.end(), labels.begin(), 0, std::plus<>(),
                              [](int a, int b) { return a == b; });
  };
  const int observed = n_correct(categories.of_prompt);
  int n_reached = 1;
  for (int draw = 0; draw < n_permutations; ++draw) {
    RandomStream random(seed, "permutation " + std::to_string(draw));
    n_reached +=
        n_correct(labels_permuted_within_folds(units, categories, folds, random)) >= observed;
  }
  return static_cast<double>(n_reached) / (n_permutations + 1);
}

struct VerdictOutcome {
  std::array<double, 3> p = {1, 1, 1};  // by TypeRule; 1 where it was not asked for
  double coverage = 0;                  // of types seen at least 5 times
};

inline VerdictOutcome verdict_outcome(const SimulatedRoutingOptions& options, std::uint64_t seed,
                                      int i, int n_permutations, bool all_rules) {
  const std::uint64_t own = RandomStream(seed, "data set " + std::to_string(i))();
  const SimulatedRouting w = simulated_routing(options, own);
  VerdictOutcome outcome;
  for (const TypeRule rule : {TypeRule::seen_types, TypeRule::all_types, TypeRule::own_prompt}) {
    if (rule != TypeRule::seen_types && !all_rules) continue;
    outcome.p[static_cast<std::size_t>(rule)] = permutation_p(
        residual(rule, w.tokens, w.signatures.values), w.signatures, n_permutations, own);
  }
  std::vector<Eigen::Index> all(w.signatures.size());
  std::iota(all.begin(), all.end(), 0);
  outcome.coverage = TypeRouting(w.tokens, 5).signatures({all, {}}).coverage.mean();
  return outcome;
}

}  // namespace moexray::bench
