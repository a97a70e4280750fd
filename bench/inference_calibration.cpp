// How often intervals cover and verdicts err, on made-up data whose truth is known:
//   inference_calibration accuracy|verdict N_DATA_SETS [SEED [CONTEXT_EFFECT]]
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "fold_models.h"
#include "moexray/stats/classify.h"
#include "moexray/stats/confounds.h"
#include "moexray/stats/folds.h"
#include "moexray/stats/logistic.h"
#include "moexray/stats/units.h"
#include "parallel.h"
#include "simulated_routing.h"
#include "type_routing.h"

namespace {

using namespace moexray;
using namespace moexray::stats;

int n_threads() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

// A share with its binomial standard error, in percent.
std::string percent(int n, int all) {
  const double p = static_cast<double>(n) / all;
  return fmt::format("{:.1f} ± {:.1f}", 100 * p, 100 * std::sqrt(p * (1 - p) / all));
}

// Signatures of 20 prompts in each of 4 categories, Dirichlet-multinomial: shares of each layer's
// experts around the category's, tokens drawn from them.
class DirichletWorld {
 public:
  DirichletWorld(double effect, std::uint64_t seed) : random_(seed) {
    for (int j = 0; j < d; ++j) base_.push_back(random_.normal());
    for (int c = 0; c < n_categories; ++c) {
      for (int j = 0; j < d; ++j) own_.push_back(effect * random_.normal());
    }
  }

  Signatures draw(int n_prompts) {
    Signatures s;
    s.shape = {n_layers, n_experts, 2};
    const int n = n_prompts * n_categories;
    s.values = Matrix::Zero(n, d);
    for (int i = 0; i < n; ++i) {
      const int c = i % n_categories;
      s.ids.push_back("p" + std::to_string(i));
      s.categories.push_back("c" + std::to_string(c));
      s.n_tokens.push_back(n_tokens);
      for (int l = 0; l < n_layers; ++l) draw_layer(i, c, l, s.values);
    }
    return s;
  }

  void reseed(std::uint64_t seed) { random_ = RandomStream(seed); }

  static constexpr int n_categories = 4;

 private:
  static constexpr int n_layers = 4;
  static constexpr int n_experts = 16;
  static constexpr int n_tokens = 60;
  static constexpr int d = n_layers * n_experts;

  void draw_layer(int i, int c, int l, Matrix& values) {
    std::array<double, n_experts> sums{};
    double sum = 0;
    for (int e = 0; e < n_experts; ++e) {
      const auto j = static_cast<std::size_t>(l * n_experts + e);
      // A log-normal prompt effect stands in for the Dirichlet's.
      sum +=
          std::exp(base_[j] + own_[static_cast<std::size_t>(c * d) + j] + 0.7 * random_.normal());
      sums[static_cast<std::size_t>(e)] = sum;
    }
    for (int t = 0; t < 2 * n_tokens; ++t) {
      const double u = random_.uniform() * sum;
      const auto e = std::lower_bound(sums.begin(), sums.end(), u) - sums.begin();
      values(i, l * n_experts + e) += 0.5 / n_tokens;
    }
  }

  RandomStream random_;
  std::vector<double> base_;
  std::vector<double> own_;
};

// Accuracy, on new prompts, of the classifier trained on all prompts.
double true_accuracy(const Signatures& train, const Signatures& test) {
  const CategoryIndex categories = index_categories(train);
  const CategoryIndex truth = index_categories(test);
  const Standardizer standardizer(train.values);
  const LogisticModel model = fit_logistic(standardizer.apply(train.values), categories.of_prompt,
                                           DirichletWorld::n_categories, {.tolerance = 1e-4});
  const std::vector<int> predicted = model.predict(standardizer.apply(test.values));
  double n = 0;
  for (std::size_t i = 0; i < predicted.size(); ++i) n += predicted[i] == truth.of_prompt[i];
  return n / static_cast<double>(predicted.size());
}

void accuracy_coverage(int n_sets, std::uint64_t seed) {
  fmt::print("{} data sets of 80 prompts in 4 categories; coverage of 95% intervals, %\n", n_sets);
  fmt::print("{:>8} {:>10} {:>14} {:>14} {:>14} {:>8} {:>8}\n", "effect", "accuracy", "nested CV",
             "same, mean", "Wilson", "width", "Wilson's");
  for (const double effect : {0.25, 0.4, 0.6}) {
    struct Outcome {
      double truth, nested[2], wilson[2];
    };
    std::vector<Outcome> outcomes(static_cast<std::size_t>(n_sets));
    parallel_for(n_sets, n_threads(), [&](int i) {
      // The same world for all data sets of an effect: its mean accuracy is one number.
      DirichletWorld world(effect, seed);
      const std::uint64_t own = RandomStream(seed, "data set " + std::to_string(i))();
      world.reseed(own);
      const Signatures train = world.draw(20);
      const ClassifyResult result = classify(train, {.seed = own, .n_nested_repetitions = 50});
      outcomes[static_cast<std::size_t>(i)] = {
          true_accuracy(train, world.draw(500)),
          {result.accuracy.ci95[0], result.accuracy.ci95[1]},
          {result.accuracy.wilson95[0], result.accuracy.wilson95[1]}};
    });
    double mean = 0;
    for (const Outcome& o : outcomes) mean += o.truth / n_sets;
    int n_nested = 0, n_mean = 0, n_wilson = 0;
    double width = 0, wilson_width = 0;
    for (const Outcome& o : outcomes) {
      n_nested += o.nested[0] <= o.truth && o.truth <= o.nested[1];
      n_mean += o.nested[0] <= mean && mean <= o.nested[1];
      n_wilson += o.wilson[0] <= o.truth && o.truth <= o.wilson[1];
      width += (o.nested[1] - o.nested[0]) / n_sets;
      wilson_width += (o.wilson[1] - o.wilson[0]) / n_sets;
    }
    fmt::print("{:>8} {:>10.3f} {:>14} {:>14} {:>14} {:>8.3f} {:>8.3f}\n", effect, mean,
               percent(n_nested, n_sets), percent(n_mean, n_sets), percent(n_wilson, n_sets), width,
               wilson_width);
  }
}

// The residual without the rule: all tokens count; a type that was not seen is expected to be
// routed as the training tokens are on average.
FeatureMaker residual_without_rule(std::shared_ptr<const TypeRouting> types,
                                   const Matrix& signatures) {
  return [types, &signatures](const SplitRows& rows) {
    const TypeSignatures s = types->signatures(rows);
    const Matrix train = signatures(rows.train, Eigen::all);
    std::vector<Eigen::Index> order = rows.train;
    order.insert(order.end(), rows.test.begin(), rows.test.end());
    Matrix values = signatures(order, Eigen::all);
    for (Eigen::Index i = 0; i < values.rows(); ++i) {
      values.row(i) -= s.coverage(i) * s.expected.row(i) +
                       (1 - s.coverage(i)) * Eigen::RowVectorXd(train.colwise().mean());
    }
    return FeatureBlocks{{values, true}};
  };
}

// p of the permutation test of confounds() for any features.
double permutation_p(const FeatureMaker& features, const Signatures& s, int n_permutations,
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

void verdict_errors(int n_sets, std::uint64_t seed, double context_effect) {
  constexpr int n_permutations = 99;
  fmt::print("{} data sets of 80 prompts in 4 categories, {} permutations; verdict \"adds\", %\n",
             n_sets, n_permutations);
  fmt::print("{:>8} {:>8} {:>10} {:>14} {:>18}\n", "types", "context", "coverage", "with the rule",
             "without");
  for (const int n_types : {150, 600}) {
    struct Outcome {
      double p_rule, p_without, coverage;
    };
    std::vector<Outcome> outcomes(static_cast<std::size_t>(n_sets));
    parallel_for(n_sets, n_threads(), [&](int i) {
      const std::uint64_t own = RandomStream(seed, "data set " + std::to_string(i))();
      const auto w =
          bench::simulated_routing({.n_types = n_types, .context_effect = context_effect}, own);
      const auto rule = std::make_shared<const TypeRouting>(w.tokens, 5);
      const auto once = std::make_shared<const TypeRouting>(w.tokens, 1);
      const FeatureMaker residual = [rule](const SplitRows& rows) {
        const TypeSignatures s = rule->signatures(rows);
        return FeatureBlocks{{s.observed - s.expected, true}};
      };
      std::vector<Eigen::Index> all(w.signatures.size());
      std::iota(all.begin(), all.end(), 0);
      outcomes[static_cast<std::size_t>(i)] = {
          permutation_p(residual, w.signatures, n_permutations, own),
          permutation_p(residual_without_rule(once, w.signatures.values), w.signatures,
                        n_permutations, own),
          rule->signatures({all, {}}).coverage.mean()};
    });
    int n_rule = 0, n_without = 0;
    double coverage = 0;
    for (const Outcome& o : outcomes) {
      n_rule += o.p_rule <= 0.05;
      n_without += o.p_without <= 0.05;
      coverage += o.coverage / n_sets;
    }
    fmt::print("{:>8} {:>8} {:>10.2f} {:>14} {:>18}\n", n_types, context_effect, coverage,
               percent(n_rule, n_sets), percent(n_without, n_sets));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const int n_sets = argc > 2 ? std::atoi(argv[2]) : 0;
  const std::uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  const double context_effect = argc > 4 ? std::atof(argv[4]) : 0;
  if (n_sets < 1 || (what != "accuracy" && what != "verdict")) {
    fmt::print(
        stderr,
        "Usage: inference_calibration accuracy|verdict N_DATA_SETS [SEED [CONTEXT_EFFECT]]\n");
    return 2;
  }
  if (what == "accuracy") {
    accuracy_coverage(n_sets, seed);
  } else {
    verdict_errors(n_sets, seed, context_effect);
  }
}
