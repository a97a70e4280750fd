#include "moexray/stats/popularity_null.h"

#include <cmath>
#include <string>
#include <vector>

#include "moexray/core/random.h"
#include "pair_means.h"
#include "parallel.h"

namespace moexray::stats {
namespace {

// The selected tokens of every category: [K].
std::vector<std::vector<std::size_t>> tokens_by_category(const RoutedTokens& tokens,
                                                         const CategoryIndex& categories) {
  std::vector<std::vector<std::size_t>> result(categories.names.size());
  for (std::size_t i = 0; i < tokens.n_prompts(); ++i) {
    auto& own = result[static_cast<std::size_t>(categories.of_prompt[i])];
    for (std::size_t t = tokens.first[i]; t < tokens.first[i + 1]; ++t) {
      if (tokens.tokens[t].selected) own.push_back(t);
    }
  }
  return result;
}

PairMeans drawn_means(const RoutedTokens& tokens, const Signatures& signatures,
                      const CategoryIndex& categories,
                      const std::vector<std::vector<std::size_t>>& pool,
                      const PopularityOptions& options, int draw) {
  const Eigen::Index n_experts = signatures.shape.n_experts;
  const double length = 1 / std::sqrt(static_cast<double>(signatures.shape.n_layers));
  const std::uint64_t seed = RandomStream(options.seed, "popularity " + std::to_string(draw))();
  CategorySums sums(categories.names.size(), signatures.values.cols());
  Eigen::RowVectorXd row(signatures.values.cols());
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    throw_if_stopped(options.stop);
    RandomStream random(seed, signatures.ids[i]);
    row.setZero();
    for (std::int64_t t = 0; t < signatures.n_tokens[i]; ++t) {
      const auto& some = pool[random.below(pool.size())];
      const std::size_t token = some[random.below(some.size())];
      for (int layer = 0; layer < signatures.shape.n_layers; ++layer) {
        for (const std::uint16_t expert : tokens.at(token, layer)) {
          row(layer * n_experts + expert) += 1;
        }
      }
    }
    for (int layer = 0; layer < signatures.shape.n_layers; ++layer) {
      auto block = row.segment(layer * n_experts, n_experts);
      block *= length / block.norm();
    }
    sums.add(categories.of_prompt[i], row);
  }
  return pair_means(sums, categories);
}

ExpectedSimilarity closed_form(const Matrix& probabilities, const Signatures& signatures,
                               const CategoryIndex& categories) {
  ExpectedSimilarity sum{0, 0, 0};
  Vector factors(static_cast<Eigen::Index>(signatures.size()));
  for (Eigen::Index layer = 0; layer < probabilities.rows(); ++layer) {
    const Vector own = probabilities.row(layer);
    for (Eigen::Index i = 0; i < factors.size(); ++i) {
      factors(i) = popularity_factor(own, signatures.layer_tokens(i, layer));
    }
    const ExpectedSimilarity here = pair_mean_of_products(factors, categories);
    sum.within += here.within;
    sum.across += here.across;
    sum.all += here.all;
  }
  const auto n = static_cast<double>(probabilities.rows());
  return {sum.within / n, sum.across / n, sum.all / n};
}

}  // namespace

Matrix inclusion_probabilities(const RoutedTokens& tokens, const CategoryIndex& categories) {
  Matrix result = Matrix::Zero(tokens.shape.n_layers, tokens.shape.n_experts);
  const auto pool = tokens_by_category(tokens, categories);
  for (const auto& some : pool) {
    const double share = 1 / static_cast<double>(some.size() * pool.size());
    for (const std::size_t token : some) {
      for (int layer = 0; layer < tokens.shape.n_layers; ++layer) {
        for (const std::uint16_t expert : tokens.at(token, layer)) result(layer, expert) += share;
      }
    }
  }
  return result;
}

double popularity_factor(const Eigen::Ref<const Vector>& probabilities, std::int64_t n_tokens) {
  const double k = probabilities.sum();
  const double s2 = probabilities.squaredNorm();
  return 1 / std::sqrt(1 + (k - s2) / (s2 * static_cast<double>(n_tokens)));
}

PopularityNull popularity_null(const RoutedTokens& tokens, const Signatures& signatures,
                               const CategoryIndex& categories, const PopularityOptions& options) {
  PopularityNull result;
  result.n_draws = options.n_draws;
  result.expected =
      closed_form(inclusion_probabilities(tokens, categories), signatures, categories);
  const auto pool = tokens_by_category(tokens, categories);
  std::vector<PairMeans> draws(static_cast<std::size_t>(options.n_draws));
  parallel_for(options.n_draws, options.n_threads, [&](int draw) {
    draws[static_cast<std::size_t>(draw)] =
        drawn_means(tokens, signatures, categories, pool, options, draw);
  });
  const auto n_within = static_cast<double>(n_within_pairs(categories));
  const auto n_all = static_cast<double>(n_all_pairs(static_cast<Eigen::Index>(signatures.size())));
  Vector within(options.n_draws);
  Vector across(options.n_draws);
  for (Eigen::Index i = 0; i < within.size(); ++i) {
    within(i) = draws[static_cast<std::size_t>(i)].within;
    across(i) = draws[static_cast<std::size_t>(i)].across;
  }
  const Vector all = (n_within * within + (n_all - n_within) * across) / n_all;
  if (n_within > 0) result.simulated.within = within.mean();
  if (n_all > n_within) result.simulated.across = across.mean();
  if (n_all > 0) result.simulated.all = all.mean();
  if (n_all > 0 && options.n_draws > 1) {
    result.draw_std = std::sqrt((all.array() - all.mean()).square().sum() / (options.n_draws - 1));
  }
  return result;
}

}  // namespace moexray::stats
