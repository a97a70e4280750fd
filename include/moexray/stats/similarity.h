#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/uniform_null.h"

namespace moexray::stats {

/// The distribution of the similarity over a set of pairs.
struct PairStatistics {
  double mean = undefined;  ///< undefined without a pair
  double std = undefined;   ///< sample standard deviation (n − 1); undefined below two pairs
  std::int64_t n_pairs = 0;
};

struct SimilarityResult {
  PairStatistics within;        ///< unordered pairs of distinct prompts of one category
  PairStatistics across;        ///< pairs of prompts of different categories
  double gap = undefined;       ///< within.mean − across.mean
  double cohens_d = undefined;  ///< see cohens_d()
  ExpectedSimilarity uniform;   ///< what uniform routing of as many tokens would give these pairs
  std::vector<std::string> categories;  ///< [K], alphabetical
  Matrix category_matrix;  ///< [K, K] pair means; the diagonal of a category with one prompt is
                           ///< undefined
  std::vector<std::string>
      notices;  ///< why a number is undefined, and what else a reader should know
};

/// Scales every layer block of the signatures to length 1/√L, so that the product of two rows is
/// sim(a, b) = (1/L) Σ_ℓ cos(s_a^(ℓ), s_b^(ℓ)) (the paper's equation 5).
/// @return [n, L·E]
Matrix unit_blocks(const Signatures& signatures);

/// All pairwise similarities: blocks · blocksᵀ, symmetric, with a diagonal of exactly 1.
/// @param blocks [n, D] from unit_blocks.
/// @return [n, n]
Matrix pair_similarity(const Matrix& blocks);

/// The same in blocks of rows, for more prompts than the memory has room for pairs: calls
/// `take(first, rows)` with rows first, first + 1, … of the matrix, [rows, n] each, in order. A
/// pair's two values, (a, b) and (b, a), may differ by rounding (1e-15).
void for_each_similarity_block(
    const Matrix& blocks, const std::function<void(Eigen::Index first, const Matrix& rows)>& take);

/// Cohen's d = (mean_w − mean_a) / s_pooled with
/// s_pooled² = ((n_w − 1)·s_w² + (n_a − 1)·s_a²) / (n_w + n_a − 2).
/// Undefined where a side has no pair, where there are fewer than three pairs, or if s_pooled is 0
/// (below 1e-12, the size of rounding errors).
double cohens_d(const PairStatistics& within, const PairStatistics& across);

/// Means and standard deviations of the similarity within and across categories, exact and without
/// holding all pairs: for n ≤ D prompts from row blocks of the n × n product, else from one
/// D × D second-moment matrix per category, at a cost of n·D·min(n, D).
/// @throws Error (data) naming prompts without a category.
SimilarityResult similarity(const Signatures& signatures);

/// Pair statistics of the products of rows, and the two ways to compute them: pair_statistics takes
/// the cheaper one.
/// @param blocks [n, D] from unit_blocks, or one layer's unit vectors.
struct WithinAcross {
  PairStatistics within;
  PairStatistics across;
};
WithinAcross pair_statistics(const Matrix& blocks, const CategoryIndex& categories);
WithinAcross pair_statistics_by_rows(const Matrix& blocks, const CategoryIndex& categories);
WithinAcross pair_statistics_by_moments(const Matrix& blocks, const CategoryIndex& categories);

}  // namespace moexray::stats
