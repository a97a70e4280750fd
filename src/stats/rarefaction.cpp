#include "moexray/stats/rarefaction.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/stats/similarity.h"
#include "pair_means.h"
#include "parallel.h"

namespace moexray::stats {
namespace {

std::vector<std::size_t> selected_tokens(const RoutedTokens& tokens, std::size_t prompt) {
  std::vector<std::size_t> result;
  for (std::size_t t = tokens.first[prompt]; t < tokens.first[prompt + 1]; ++t) {
    if (tokens.tokens[t].selected) result.push_back(t);
  }
  return result;
}

OverDraws summary(const std::vector<double>& values) {
  const Eigen::Map<const Vector> v(values.data(), static_cast<Eigen::Index>(values.size()));
  OverDraws result{v.mean(), undefined};
  if (v.size() > 1) {
    result.std =
        std::sqrt((v.array() - result.mean).square().sum() / static_cast<double>(v.size() - 1));
  }
  return result;
}

class Rarefaction {
 public:
  Rarefaction(const RoutedTokens& tokens, const Signatures& signatures,
              const CategoryIndex& categories, std::int64_t n_tokens)
      : tokens_(tokens), signatures_(signatures), n_tokens_(static_cast<std::size_t>(n_tokens)) {
    for (std::size_t i = 0; i < signatures.size(); ++i) {
      auto own = selected_tokens(tokens, i);
      if (own.size() < n_tokens_) continue;
      rows_.push_back(i);
      pool_.push_back(std::move(own));
    }
    categories_ = subset_of(categories, rows_);
  }

  std::size_t n_prompts() const { return rows_.size(); }
  const CategoryIndex& categories() const { return categories_; }

  WithinAcross draw(std::uint64_t seed) const {
    const Eigen::Index n_experts = signatures_.shape.n_experts;
    const double length = 1 / std::sqrt(static_cast<double>(signatures_.shape.n_layers));
    Matrix blocks =
        Matrix::Zero(static_cast<Eigen::Index>(rows_.size()), signatures_.values.cols());
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      RandomStream random(seed, signatures_.ids[rows_[i]]);
      auto row = blocks.row(static_cast<Eigen::Index>(i));
      std::vector<std::size_t> pool = pool_[i];
      for (std::size_t t = 0; t < n_tokens_; ++t) {
        std::swap(pool[t], pool[t + random.below(pool.size() - t)]);
        for (int layer = 0; layer < signatures_.shape.n_layers; ++layer) {
          for (const std::uint16_t expert : tokens_.at(pool[t], layer)) {
            row(layer * n_experts + expert) += 1;
          }
        }
      }
      for (int layer = 0; layer < signatures_.shape.n_layers; ++layer) {
        auto block = row.segment(layer * n_experts, n_experts);
        block *= length / block.norm();
      }
    }
    return pair_statistics(blocks, categories_);
  }

 private:
  const RoutedTokens& tokens_;
  const Signatures& signatures_;
  CategoryIndex categories_;  // of the prompts that have enough tokens
  std::size_t n_tokens_;
  std::vector<std::size_t> rows_;
  std::vector<std::vector<std::size_t>> pool_;
};

}  // namespace

RarefactionResult rarefied_similarity(const RoutedTokens& tokens, const Signatures& signatures,
                                      const CategoryIndex& categories,
                                      const RarefactionOptions& options) {
  RarefactionResult result;
  result.n_draws = options.n_draws;
  result.n_tokens = options.n_tokens > 0
                        ? options.n_tokens
                        : *std::min_element(signatures.n_tokens.begin(), signatures.n_tokens.end());
  const Rarefaction rarefaction(tokens, signatures, categories, result.n_tokens);
  result.n_prompts = static_cast<int>(rarefaction.n_prompts());
  result.n_too_few_tokens = static_cast<int>(signatures.size()) - result.n_prompts;
  result.empty_categories = empty_categories(rarefaction.categories());
  if (result.n_prompts < 2) return result;
  std::vector<WithinAcross> draws(static_cast<std::size_t>(options.n_draws));
  parallel_for(options.n_draws, options.n_threads, [&](int draw) {
    throw_if_stopped(options.stop);
    const std::uint64_t seed = RandomStream(options.seed, "rarefaction " + std::to_string(draw))();
    draws[static_cast<std::size_t>(draw)] = rarefaction.draw(seed);
  });
  std::vector<double> within, across, gap, d;
  for (const WithinAcross& pairs : draws) {
    within.push_back(pairs.within.mean);
    across.push_back(pairs.across.mean);
    gap.push_back(pairs.within.mean - pairs.across.mean);
    d.push_back(cohens_d(pairs.within, pairs.across));
  }
  result.within = summary(within);
  result.across = summary(across);
  result.gap = summary(gap);
  result.cohens_d = summary(d);
  return result;
}

}  // namespace moexray::stats
