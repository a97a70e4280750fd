#include "moexray/stats/uniform_null.h"

#include <cmath>

namespace moexray::stats {
namespace {

// The mean of x_a·x_b over the unordered pairs a ≠ b.
double pair_mean_of_products(const Vector& x) {
  const auto n = static_cast<double>(x.size());
  if (x.size() < 2) return undefined;
  const double sum = x.sum();
  return (sum * sum - x.squaredNorm()) / (n * (n - 1));
}

}  // namespace

double uniform_factor(const RoutingShape& shape, std::int64_t n_tokens, LoadBalance model) {
  const double e = shape.n_experts;
  if (shape.top_k == 0) return undefined;
  const double k = shape.top_k;
  const auto t = static_cast<double>(n_tokens);
  if (model == LoadBalance::multinomial) return 1 / std::sqrt(1 + (e - 1) / (k * t));
  if (shape.top_k == shape.n_experts) return 1;
  const double p = k / e;
  const double v = k * k * (e - k) * (e - k) / (e * e * (e - 1));
  const double mean = t * k * (1 - p) + t * t * k * k / e;
  const double cv_squared = 2 * t * (t - 1) * v / (mean * mean);
  return (1 + 3.0 / 8 * cv_squared) / std::sqrt(1 + (1 - p) / (p * t));
}

double expected_uniform_similarity(const Signatures& signatures, LoadBalance model) {
  const CountMatrix& tokens = signatures.layer_tokens;
  double sum = 0;
  Vector factors(tokens.rows());
  for (Eigen::Index layer = 0; layer < tokens.cols(); ++layer) {
    for (Eigen::Index i = 0; i < tokens.rows(); ++i) {
      factors(i) = uniform_factor(signatures.shape, tokens(i, layer), model);
    }
    sum += pair_mean_of_products(factors);
  }
  return sum / static_cast<double>(tokens.cols());
}

ExpectedSimilarity pair_mean_of_products(const Vector& x, const CategoryIndex& categories) {
  Vector sums = Vector::Zero(static_cast<Eigen::Index>(categories.names.size()));
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    sums(categories.of_prompt[static_cast<std::size_t>(i)]) += x(i);
  }
  const auto n = static_cast<double>(x.size());
  double n_within = 0;
  for (const std::int64_t size : categories.n_prompts) {
    n_within += static_cast<double>(size * (size - 1)) / 2;
  }
  const double n_across = n * (n - 1) / 2 - n_within;
  const double within = (sums.squaredNorm() - x.squaredNorm()) / 2;
  const double across = (sums.sum() * sums.sum() - sums.squaredNorm()) / 2;
  return {n_within > 0 ? within / n_within : undefined,
          n_across > 0 ? across / n_across : undefined, pair_mean_of_products(x)};
}

ExpectedSimilarity expected_uniform_by_kind(const Signatures& signatures,
                                            const CategoryIndex& categories, LoadBalance model,
                                            int layer) {
  const CountMatrix& tokens = signatures.layer_tokens;
  const Eigen::Index first = layer < 0 ? 0 : layer;
  const Eigen::Index end = layer < 0 ? tokens.cols() : first + 1;
  ExpectedSimilarity sum{0, 0, 0};
  Vector factors(tokens.rows());
  for (Eigen::Index l = first; l < end; ++l) {
    for (Eigen::Index i = 0; i < tokens.rows(); ++i) {
      factors(i) = uniform_factor(signatures.shape, tokens(i, l), model);
    }
    const ExpectedSimilarity here = pair_mean_of_products(factors, categories);
    sum.within += here.within;
    sum.across += here.across;
    sum.all += here.all;
  }
  const auto n_layers = static_cast<double>(end - first);
  return {sum.within / n_layers, sum.across / n_layers, sum.all / n_layers};
}

double expected_permuted_similarity(const Signatures& signatures) {
  const Eigen::Index n_experts = signatures.shape.n_experts;
  double sum = 0;
  for (int layer = 0; layer < signatures.shape.n_layers; ++layer) {
    const Vector norms =
        signatures.values.middleCols(layer * n_experts, n_experts).rowwise().norm();
    sum += pair_mean_of_products(norms.cwiseInverse());
  }
  return sum / signatures.shape.n_layers / static_cast<double>(n_experts);
}

}  // namespace moexray::stats
