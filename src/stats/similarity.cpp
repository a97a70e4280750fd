#include "moexray/stats/similarity.h"

#include <algorithm>
#include <cmath>

#include "pair_means.h"

namespace moexray::stats {
namespace {

// Sums of (similarity − shift) and of its square over a set of pairs. A shift near the mean keeps
// the variance from being the small difference of two large numbers.
struct ShiftedSums {
  double sum = 0;
  double sum_squares = 0;
  std::int64_t n = 0;

  void add(double value) {
    sum += value;
    sum_squares += value * value;
  }
  PairStatistics statistics(double shift) const {
    PairStatistics result;
    result.n_pairs = n;
    if (n == 0) return result;
    const auto count = static_cast<double>(n);
    result.mean = shift + sum / count;
    if (n < 2) return result;
    const double variance = (sum_squares - sum * (sum / count)) / (count - 1);
    result.std = std::sqrt(std::max(variance, 0.0));
    return result;
  }
};

// Rows of `blocks` that belong to a category, with the category's centred rows y = x − μ, and two
// more columns: z = [y, μ·y, 1]. With the last two swapped in one factor, z_a · swap(z_b) = y_a·y_b
// + μ·y_a + μ·y_b = x_a·x_b − μ·μ.
Matrix augmented_rows(const Matrix& blocks, const Eigen::RowVectorXd& mean,
                      const CategoryIndex& categories, int category) {
  const Eigen::Index d = blocks.cols();
  Matrix z(categories.n_prompts[static_cast<std::size_t>(category)], d + 2);
  Eigen::Index row = 0;
  for (Eigen::Index i = 0; i < blocks.rows(); ++i) {
    if (categories.of_prompt[static_cast<std::size_t>(i)] != category) continue;
    z.row(row).head(d) = blocks.row(i) - mean;
    z(row, d) = mean.dot(z.row(row).head(d));
    z(row, d + 1) = 1;
    ++row;
  }
  return z;
}

// Σ_{a,b} (z_a · swap(z_b))² = ⟨M, P M P⟩ with M = Σ z zᵀ and P the swap of the last two
// coordinates.
double swapped_inner_product(const Eigen::MatrixXd& m) {
  const Eigen::Index d = m.rows() - 2;
  const double body = m.topLeftCorner(d, d).squaredNorm();
  const double edges = 4 * m.col(d).head(d).dot(m.col(d + 1).head(d));
  const double corner = 2 * (m(d, d) * m(d + 1, d + 1) + m(d, d + 1) * m(d, d + 1));
  return body + edges + corner;
}

double swapped_square(const Eigen::VectorXd& z) {
  const Eigen::Index d = z.size() - 2;
  return z.head(d).squaredNorm() + 2 * z(d) * z(d + 1);
}

void add_notices(const Signatures& signatures, const CategoryIndex& categories,
                 SimilarityResult& result) {
  auto& notices = result.notices;
  notices = category_notices(categories);
  if (result.within.n_pairs > 0 && result.across.n_pairs > 0 && std::isnan(result.cohens_d)) {
    notices.push_back("Cohen's d is undefined: too few pairs or no spread among them");
  }
  const auto [low, high] =
      std::minmax_element(signatures.n_tokens.begin(), signatures.n_tokens.end());
  if (*high > 2 * *low) {
    notices.push_back("prompts have " + std::to_string(*low) + " to " + std::to_string(*high) +
                      " tokens: the similarity of two prompts rises with their number of tokens");
  }
}

}  // namespace

Matrix unit_blocks(const Signatures& signatures) {
  Matrix blocks = signatures.values;
  const double scale = 1 / std::sqrt(static_cast<double>(signatures.shape.n_layers));
  const Eigen::Index n_experts = signatures.shape.n_experts;
  for (Eigen::Index row = 0; row < blocks.rows(); ++row) {
    for (int layer = 0; layer < signatures.shape.n_layers; ++layer) {
      auto block = blocks.row(row).segment(layer * n_experts, n_experts);
      block *= scale / block.norm();
    }
  }
  return blocks;
}

Matrix pair_similarity(const Matrix& blocks) {
  Matrix result = Matrix::Zero(blocks.rows(), blocks.rows());
  result.selfadjointView<Eigen::Lower>().rankUpdate(blocks);
  result.triangularView<Eigen::StrictlyUpper>() = result.transpose();
  result.diagonal().setOnes();
  return result;
}

void for_each_similarity_block(
    const Matrix& blocks, const std::function<void(Eigen::Index first, const Matrix& rows)>& take) {
  constexpr Eigen::Index rows_at_once = 256;
  for (Eigen::Index first = 0; first < blocks.rows(); first += rows_at_once) {
    const Eigen::Index n_rows = std::min(rows_at_once, blocks.rows() - first);
    Matrix rows = blocks.middleRows(first, n_rows) * blocks.transpose();
    rows.diagonal(first).setOnes();
    take(first, rows);
  }
}

double cohens_d(const PairStatistics& within, const PairStatistics& across) {
  const std::int64_t degrees = within.n_pairs + across.n_pairs - 2;
  if (within.n_pairs < 1 || across.n_pairs < 1 || degrees < 1) return undefined;
  const auto squares = [](const PairStatistics& side) {
    return side.n_pairs < 2 ? 0 : static_cast<double>(side.n_pairs - 1) * side.std * side.std;
  };
  const double pooled =
      std::sqrt((squares(within) + squares(across)) / static_cast<double>(degrees));
  // Similarities carry rounding errors of about 1e-15: a smaller spread is none.
  return pooled > 1e-12 ? (within.mean - across.mean) / pooled : undefined;
}

WithinAcross pair_statistics_by_rows(const Matrix& blocks, const CategoryIndex& categories) {
  const Eigen::Index n = blocks.rows();
  // The means come first, so that squares are taken of deviations alone.
  const PairMeans means = pair_means(blocks, categories);
  ShiftedSums within;
  within.n = n_within_pairs(categories);
  ShiftedSums across;
  across.n = n_all_pairs(n) - within.n;
  constexpr Eigen::Index rows_at_once = 256;
  for (Eigen::Index first = 0; first < n; first += rows_at_once) {
    const Eigen::Index n_rows = std::min(rows_at_once, n - first);
    const auto rows = blocks.middleRows(first, n_rows);
    const Eigen::Index n_below = n - first - n_rows;
    Matrix product = Matrix::Zero(n_rows, n - first);
    product.leftCols(n_rows).selfadjointView<Eigen::Upper>().rankUpdate(rows);
    product.rightCols(n_below).noalias() = rows * blocks.bottomRows(n_below).transpose();
    for (Eigen::Index i = 0; i < n_rows; ++i) {
      const int category = categories.of_prompt[static_cast<std::size_t>(first + i)];
      for (Eigen::Index j = i + 1; j < n - first; ++j) {
        if (categories.of_prompt[static_cast<std::size_t>(first + j)] == category) {
          within.add(product(i, j) - means.within);
        } else {
          across.add(product(i, j) - means.across);
        }
      }
    }
  }
  return {within.statistics(means.within), across.statistics(means.across)};
}

WithinAcross pair_statistics_by_moments(const Matrix& blocks, const CategoryIndex& categories) {
  if (blocks.rows() == 0) return {};
  const Eigen::Index d = blocks.cols() + 2;
  const Eigen::RowVectorXd mean = blocks.colwise().mean();
  const double shift = mean.squaredNorm();
  Eigen::MatrixXd total_second = Eigen::MatrixXd::Zero(d, d);
  Eigen::VectorXd total_first = Eigen::VectorXd::Zero(d);
  // Sums over ordered pairs, each prompt's pair with itself included.
  double within_first = 0;
  double within_second = 0;
  ShiftedSums self;
  for (std::size_t c = 0; c < categories.names.size(); ++c) {
    // A selection may have left a category empty, and Eigen divides by the size of such a product.
    if (categories.n_prompts[c] == 0) continue;
    const Matrix z = augmented_rows(blocks, mean, categories, static_cast<int>(c));
    for (Eigen::Index i = 0; i < z.rows(); ++i) {
      self.add(swapped_square(z.row(i).transpose()));
    }
    Eigen::MatrixXd second = Eigen::MatrixXd::Zero(d, d);
    second.selfadjointView<Eigen::Lower>().rankUpdate(z.transpose());
    second.triangularView<Eigen::StrictlyUpper>() = second.transpose();
    const Eigen::VectorXd first = z.colwise().sum().transpose();
    within_first += swapped_square(first);
    within_second += swapped_inner_product(second);
    total_first += first;
    total_second += second;
  }
  ShiftedSums within{(within_first - self.sum) / 2, (within_second - self.sum_squares) / 2,
                     n_within_pairs(categories)};
  ShiftedSums across{(swapped_square(total_first) - within_first) / 2,
                     (swapped_inner_product(total_second) - within_second) / 2,
                     n_all_pairs(blocks.rows()) - within.n};
  return {within.statistics(shift), across.statistics(shift)};
}

WithinAcross pair_statistics(const Matrix& blocks, const CategoryIndex& categories) {
  return blocks.rows() <= blocks.cols() ? pair_statistics_by_rows(blocks, categories)
                                        : pair_statistics_by_moments(blocks, categories);
}

SimilarityResult similarity(const Signatures& signatures) {
  const CategoryIndex categories = index_categories(signatures);
  const Matrix blocks = unit_blocks(signatures);
  const WithinAcross pairs = pair_statistics(blocks, categories);
  SimilarityResult result;
  result.within = pairs.within;
  result.across = pairs.across;
  result.gap = pairs.within.mean - pairs.across.mean;
  result.cohens_d = cohens_d(pairs.within, pairs.across);
  result.uniform = expected_uniform_by_kind(signatures, categories, LoadBalance::distinct);
  result.categories = categories.names;
  result.category_matrix = pair_means(blocks, categories).categories;
  add_notices(signatures, categories, result);
  return result;
}

}  // namespace moexray::stats
