#include "moexray/stats/noise_corrected.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "pair_means.h"

namespace moexray::stats {
namespace {

// The leading tokens of the prompt (not generated ones) that all prompts have in common.
std::size_t shared_prefix(const RoutedTokens& tokens) {
  if (tokens.n_prompts() < 2 || !tokens.has_ids()) return 0;
  const auto first = tokens.of_prompt(0);
  std::size_t length = first.size();
  for (std::size_t i = 0; i < tokens.n_prompts(); ++i) {
    const auto own = tokens.of_prompt(i);
    std::size_t common = 0;
    while (common < std::min(length, own.size()) && own[common].id == first[common].id &&
           own[common].type == TokenType::prompt) {
      ++common;
    }
    length = common;
  }
  return length;
}

// The tokens of a prompt that count: [T] numbers into RoutedTokens.
std::vector<std::size_t> counted_tokens(const RoutedTokens& tokens, std::size_t prompt,
                                        std::size_t n_shared) {
  std::vector<std::size_t> result;
  for (std::size_t t = tokens.first[prompt] + n_shared; t < tokens.first[prompt + 1]; ++t) {
    if (tokens.tokens[t].selected && !tokens.tokens[t].is_template) result.push_back(t);
  }
  return result;
}

Eigen::RowVectorXd counts_of(const RoutedTokens& tokens, std::span<const std::size_t> some) {
  const Eigen::Index n_experts = tokens.shape.n_experts;
  Eigen::RowVectorXd counts = Eigen::RowVectorXd::Zero(tokens.shape.n_layers * n_experts);
  for (const std::size_t token : some) {
    for (int layer = 0; layer < tokens.shape.n_layers; ++layer) {
      for (const std::uint16_t expert : tokens.at(token, layer)) {
        counts(layer * n_experts + expert) += 1;
      }
    }
  }
  return counts;
}

// [L] unbiased squared norms.
Vector norms_of(const Eigen::RowVectorXd& counts, std::int64_t n_tokens,
                const RoutingShape& shape) {
  Vector norms(shape.n_layers);
  const Eigen::Index n_experts = shape.n_experts;
  for (Eigen::Index layer = 0; layer < norms.size(); ++layer) {
    norms(layer) =
        unbiased_squared_norm(counts.segment(layer * n_experts, n_experts), n_tokens, shape.top_k);
  }
  return norms;
}

// Adds this prompt's halves.
void add_halves(const RoutedTokens& tokens, std::span<const std::size_t> counted,
                const Vector& norms, SplitHalf& sums) {
  const std::size_t n_first = counted.size() / 2;
  const Eigen::RowVectorXd first = counts_of(tokens, counted.first(n_first));
  const Eigen::RowVectorXd second = counts_of(tokens, counted.subspan(n_first));
  const auto products = static_cast<double>(n_first * (counted.size() - n_first));
  const Eigen::Index n_experts = tokens.shape.n_experts;
  for (Eigen::Index layer = 0; layer < norms.size(); ++layer) {
    const auto a = first.segment(layer * n_experts, n_experts);
    const auto b = second.segment(layer * n_experts, n_experts);
    const auto n_layers = static_cast<double>(norms.size());
    sums.cosine += a.dot(b) / (a.norm() * b.norm()) / n_layers;
    sums.corrected += a.dot(b) / products / norms(layer) / n_layers;
  }
  ++sums.n_prompts;
}

}  // namespace

double unbiased_squared_norm(const Eigen::Ref<const Eigen::RowVectorXd>& counts,
                             std::int64_t n_tokens, int top_k) {
  const auto t = static_cast<double>(n_tokens);
  return (counts.squaredNorm() - t * top_k) / (t * (t - 1));
}

double uniform_excess(std::int64_t n_tokens, const RoutingShape& shape) {
  const auto t = static_cast<double>(n_tokens);
  const double others = shape.n_experts - shape.top_k;
  const double k = shape.top_k;
  return 1.5 * others * others / (k * k * (shape.n_experts - 1.0) * t * (t - 1));
}

NoiseCorrectedResult noise_corrected_similarity(const RoutedTokens& tokens,
                                                const Signatures& signatures,
                                                const CategoryIndex& categories) {
  NoiseCorrectedResult result;
  result.has_ids = tokens.has_ids();
  const std::size_t n_shared = shared_prefix(tokens);
  result.n_shared_prefix = static_cast<int>(n_shared);
  result.has_template =
      std::any_of(tokens.tokens.begin(), tokens.tokens.end(),
                  [](const RoutedToken& t) { return t.selected && t.is_template; });
  const Eigen::Index n_experts = signatures.shape.n_experts;
  const auto n_layers = static_cast<double>(signatures.shape.n_layers);
  std::vector<std::size_t> rows;
  Matrix blocks(signatures.values.rows(), signatures.values.cols());
  SplitHalf halves{0, 0, 0};
  double excess = 0;
  for (std::size_t i = 0; i < tokens.n_prompts(); ++i) {
    const auto counted = counted_tokens(tokens, i, n_shared);
    const auto n_tokens = static_cast<std::int64_t>(counted.size());
    if (n_tokens < min_corrected_tokens) {
      ++result.n_too_few_tokens;
      continue;
    }
    const Eigen::RowVectorXd counts = counts_of(tokens, counted);
    const Vector norms = norms_of(counts, n_tokens, signatures.shape);
    if (norms.minCoeff() <= 0) {
      ++result.n_without_norm;
      continue;
    }
    auto block = blocks.row(static_cast<Eigen::Index>(rows.size()));
    for (Eigen::Index layer = 0; layer < norms.size(); ++layer) {
      block.segment(layer * n_experts, n_experts) =
          counts.segment(layer * n_experts, n_experts) /
          (static_cast<double>(n_tokens) * std::sqrt(n_layers * norms(layer)));
    }
    rows.push_back(i);
    excess += uniform_excess(n_tokens, signatures.shape);
    add_halves(tokens, counted, norms, halves);
  }
  result.n_prompts = static_cast<int>(rows.size());
  const CategoryIndex kept = subset_of(categories, rows);
  result.empty_categories = empty_categories(kept);
  if (rows.empty()) return result;
  blocks.conservativeResize(static_cast<Eigen::Index>(rows.size()), Eigen::NoChange);
  const WithinAcross pairs = pair_statistics(blocks, kept);
  result.within = pairs.within;
  result.across = pairs.across;
  result.gap = pairs.within.mean - pairs.across.mean;
  result.uniform_excess = excess / result.n_prompts;
  result.split_half = {halves.cosine / halves.n_prompts, halves.corrected / halves.n_prompts,
                       halves.n_prompts};
  return result;
}

}  // namespace moexray::stats
