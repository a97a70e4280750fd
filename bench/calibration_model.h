#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/stats/similarity.h"

namespace moexray::calibration {

/// Made-up prompts whose expert counts are Dirichlet-multinomial: every category has expert rates,
/// every prompt draws its own around them, and its tokens draw experts by those.
struct RoutingModel {
  int n_layers = 4;
  int n_experts = 16;
  int n_categories = 4;
  double effect = 0;          ///< standard deviation of the logarithms of rates between categories
  double popularity = 0.7;    ///< and of those that categories share
  double concentration = 30;  ///< of prompts around their category
  int n_selections = 160;     ///< a layer and prompt
};

/// Normal, exponential and gamma variates are all that is needed for a Dirichlet distribution
/// (Marsaglia and Tsang, A simple method for generating gamma variables, 2000).
inline double gamma_variate(double shape, RandomStream& random) {
  if (shape < 1) {
    return gamma_variate(shape + 1, random) * std::pow(1 - random.uniform(), 1 / shape);
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = random.normal();
    const double v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    const double u = 1 - random.uniform();
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

/// [K, L·E] the expert rates of every category, the same for all data sets.
inline stats::Matrix category_rates(const RoutingModel& model, std::uint64_t seed) {
  RandomStream random(seed, "categories");
  const int d = model.n_layers * model.n_experts;
  stats::Vector common(d);
  for (double& x : common) x = model.popularity * random.normal();
  stats::Matrix rates(model.n_categories, d);
  for (int c = 0; c < model.n_categories; ++c) {
    for (int j = 0; j < d; ++j) rates(c, j) = std::exp(common(j) + model.effect * random.normal());
    for (int l = 0; l < model.n_layers; ++l) {
      auto block = rates.row(c).segment(l * model.n_experts, model.n_experts);
      block /= block.sum();
    }
  }
  return rates;
}

/// Signatures of n_prompts prompts of every category.
inline stats::Signatures draw_signatures(const RoutingModel& model, const stats::Matrix& rates,
                                         int n_prompts, RandomStream& random) {
  stats::Signatures s;
  s.shape = {model.n_layers, model.n_experts, 1};
  const Eigen::Index n = static_cast<Eigen::Index>(n_prompts) * model.n_categories;
  s.values = stats::Matrix::Zero(n, rates.cols());
  s.layer_tokens = stats::CountMatrix::Constant(n, model.n_layers, model.n_selections);
  s.layer_sums = stats::Matrix::Constant(n, model.n_layers, model.n_selections);
  std::vector<double> cumulative(static_cast<std::size_t>(model.n_experts));
  for (Eigen::Index i = 0; i < n; ++i) {
    const int category = static_cast<int>(i) % model.n_categories;
    for (int l = 0; l < model.n_layers; ++l) {
      double sum = 0;
      for (int e = 0; e < model.n_experts; ++e) {
        const double mean = rates(category, l * model.n_experts + e);
        sum += gamma_variate(model.concentration * mean, random);
        cumulative[static_cast<std::size_t>(e)] = sum;
      }
      for (int t = 0; t < model.n_selections; ++t) {
        const auto chosen =
            std::upper_bound(cumulative.begin(), cumulative.end() - 1, sum * random.uniform()) -
            cumulative.begin();
        s.values(i, l * model.n_experts + chosen) += 1.0 / model.n_selections;
      }
    }
    s.ids.push_back("p" + std::to_string(i));
    s.categories.push_back("c" + std::to_string(category));
    s.n_tokens.push_back(model.n_selections);
    s.prompt_indices.push_back(static_cast<std::size_t>(i));
  }
  return s;
}

/// What a design of many prompts would find.
struct Truth {
  double within = 0, across = 0, gap = 0, cohens_d = 0, auc = 0;
};

/// From `n_many` prompts a category. d pools the variances of pairs with the numbers of pairs that
/// n_prompts prompts a category have.
inline Truth truth_of(const RoutingModel& model, const stats::Matrix& rates, int n_prompts,
                      int n_many, RandomStream& random) {
  const stats::Signatures s = draw_signatures(model, rates, n_many, random);
  const stats::CategoryIndex categories = stats::index_categories(s);
  const stats::Matrix blocks = stats::unit_blocks(s);
  const stats::WithinAcross pairs = stats::pair_statistics(blocks, categories);
  // The similarities of within and across pairs, in bins so fine that few share one.
  constexpr int n_bins = 1'000'000;
  std::vector<double> within(n_bins + 1), across(n_bins + 1);
  for (Eigen::Index i = 0; i < blocks.rows(); ++i) {
    const stats::Vector row = blocks.topRows(i) * blocks.row(i).transpose();
    for (Eigen::Index j = 0; j < i; ++j) {
      const bool same = i % model.n_categories == j % model.n_categories;
      ++(same ? within : across)[static_cast<std::size_t>(row(j) * n_bins)];
    }
  }
  double below = 0, concordant = 0;
  for (std::size_t b = 0; b <= n_bins; ++b) {
    concordant += within[b] * (below + across[b] / 2);
    below += across[b];
  }
  Truth truth{pairs.within.mean, pairs.across.mean, pairs.within.mean - pairs.across.mean, 0, 0};
  truth.auc = concordant / (static_cast<double>(pairs.within.n_pairs) *
                            static_cast<double>(pairs.across.n_pairs));
  const double k = model.n_categories;
  const double n_within = k * n_prompts * (n_prompts - 1) / 2;
  const double n_across = k * (k - 1) / 2 * n_prompts * n_prompts;
  const double variance = ((n_within - 1) * pairs.within.std * pairs.within.std +
                           (n_across - 1) * pairs.across.std * pairs.across.std) /
                          (n_within + n_across - 2);
  truth.cohens_d = truth.gap / std::sqrt(variance);
  return truth;
}

}  // namespace moexray::calibration
