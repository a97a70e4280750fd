#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
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
  /// [K] what numbers of prompts, and of selections, are multiplied by in each category; empty: 1.
  std::vector<double> size_factors = {};
  std::vector<double> length_factors = {};
  double length_spread = 0;  ///< standard deviation of the logarithm of a prompt's selections
  double odd_share = 0;      ///< of prompts whose concentration is a tenth
};

/// What a category's factor makes of a number; at least 2.
inline int scaled(int number, const std::vector<double>& factors, int category) {
  const double factor = factors.empty() ? 1 : factors[static_cast<std::size_t>(category)];
  return std::max(2, static_cast<int>(std::lround(number * factor)));
}

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

/// Signatures of sizes[c] prompts of category c, the categories taking turns.
inline stats::Signatures draw_signatures(const RoutingModel& model, const stats::Matrix& rates,
                                         const std::vector<int>& sizes, RandomStream& random) {
  stats::Signatures s;
  s.shape = {model.n_layers, model.n_experts, 1};
  const Eigen::Index n = std::accumulate(sizes.begin(), sizes.end(), Eigen::Index{0});
  s.values = stats::Matrix::Zero(n, rates.cols());
  s.layer_tokens = stats::CountMatrix::Zero(n, model.n_layers);
  std::vector<double> cumulative(static_cast<std::size_t>(model.n_experts));
  Eigen::Index i = 0;
  for (int turn = 0; i < n; ++turn) {
    for (int category = 0; category < model.n_categories; ++category) {
      if (turn >= sizes[static_cast<std::size_t>(category)]) continue;
      int n_selections = scaled(model.n_selections, model.length_factors, category);
      if (model.length_spread > 0) {
        const double factor = std::exp(model.length_spread * random.normal());
        n_selections = std::max(2, static_cast<int>(std::lround(n_selections * factor)));
      }
      const bool is_odd = model.odd_share > 0 && random.uniform() < model.odd_share;
      const double concentration = is_odd ? model.concentration / 10 : model.concentration;
      for (int l = 0; l < model.n_layers; ++l) {
        double sum = 0;
        for (int e = 0; e < model.n_experts; ++e) {
          const double mean = rates(category, l * model.n_experts + e);
          sum += gamma_variate(concentration * mean, random);
          cumulative[static_cast<std::size_t>(e)] = sum;
        }
        for (int t = 0; t < n_selections; ++t) {
          const auto chosen =
              std::upper_bound(cumulative.begin(), cumulative.end() - 1, sum * random.uniform()) -
              cumulative.begin();
          s.values(i, l * model.n_experts + chosen) += 1.0 / n_selections;
        }
      }
      s.ids.push_back("p" + std::to_string(i));
      s.categories.push_back("c" + std::to_string(category));
      s.n_tokens.push_back(n_selections);
      s.prompt_indices.push_back(static_cast<std::size_t>(i));
      s.layer_tokens.row(i).setConstant(n_selections);
      ++i;
    }
  }
  s.layer_sums = s.layer_tokens.cast<double>();
  return s;
}

/// Signatures of n_prompts prompts a category, times the category's factor.
inline stats::Signatures draw_signatures(const RoutingModel& model, const stats::Matrix& rates,
                                         int n_prompts, RandomStream& random) {
  std::vector<int> sizes;
  for (int c = 0; c < model.n_categories; ++c) {
    sizes.push_back(scaled(n_prompts, model.size_factors, c));
  }
  return draw_signatures(model, rates, sizes, random);
}

/// What a design of many prompts would find.
struct Truth {
  double within = 0, across = 0, gap = 0, cohens_d = 0, auc = 0;
};

/// From `n_many` prompts a category. Pairs of two categories count as often as a design of
/// n_prompts prompts a category (times its factor) has them.
inline Truth truth_of(const RoutingModel& model, const stats::Matrix& rates, int n_prompts,
                      int n_many, RandomStream& random) {
  const int k = model.n_categories;
  const stats::Signatures s =
      draw_signatures(model, rates, std::vector<int>(static_cast<std::size_t>(k), n_many), random);
  const stats::Matrix blocks = stats::unit_blocks(s);
  const auto own_weight = [&](int a, int b) {
    const double n_a = scaled(n_prompts, model.size_factors, a);
    const double n_b = scaled(n_prompts, model.size_factors, b);
    const double many = n_many;
    return a == b ? n_a * (n_a - 1) / (many * (many - 1)) : n_a * n_b / (many * many);
  };
  stats::Matrix weight(k, k);
  for (int a = 0; a < k; ++a) {
    for (int b = 0; b < k; ++b) weight(a, b) = own_weight(a, b);
  }
  // The similarities of within and across pairs, in bins so fine that few share one.
  constexpr int n_bins = 1'000'000;
  struct Pairs {
    std::vector<double> bins = std::vector<double>(n_bins + 1);
    double n = 0, sum = 0, squares = 0;
    double mean() const { return sum / n; }
    double sum_of_squares() const { return (squares - sum * sum / n) * (n - 1) / n; }
  } within, across;
  for (Eigen::Index i = 0; i < blocks.rows(); ++i) {
    const stats::Vector row = blocks.topRows(i) * blocks.row(i).transpose();
    for (Eigen::Index j = 0; j < i; ++j) {
      Pairs& pairs = i % k == j % k ? within : across;
      const double w = weight(i % k, j % k);
      pairs.bins[static_cast<std::size_t>(row(j) * n_bins)] += w;
      pairs.n += w;
      pairs.sum += w * row(j);
      pairs.squares += w * row(j) * row(j);
    }
  }
  double below = 0, concordant = 0;
  for (std::size_t b = 0; b <= n_bins; ++b) {
    concordant += within.bins[b] * (below + across.bins[b] / 2);
    below += across.bins[b];
  }
  Truth truth{within.mean(), across.mean(), within.mean() - across.mean(), 0,
              concordant / (within.n * across.n)};
  // As cohens_d() pools the variances of pairs.
  const double variance =
      (within.sum_of_squares() + across.sum_of_squares()) / (within.n + across.n - 2);
  truth.cohens_d = truth.gap / std::sqrt(variance);
  return truth;
}

}  // namespace moexray::calibration
