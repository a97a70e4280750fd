#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

/// The sum of the rows of every category. Sums over pairs need no more than that:
/// Σ_{a∈A, b∈B} x_a·x_b = (Σ x_a)·(Σ x_b).
class CategorySums {
 public:
  CategorySums(std::size_t n_categories, Eigen::Index n_columns)
      : sums_(Matrix::Zero(static_cast<Eigen::Index>(n_categories), n_columns)),
        self_(Vector::Zero(static_cast<Eigen::Index>(n_categories))) {}

  void add(int category, const Eigen::Ref<const Eigen::RowVectorXd>& row) {
    sums_.row(category) += row;
    self_(category) += row.squaredNorm();
  }
  const Matrix& sums() const { return sums_; }  ///< [K, D]
  const Vector& self() const { return self_; }  ///< [K] Σ x_a·x_a

 private:
  Matrix sums_;
  Vector self_;
};

struct PairMeans {
  double within = 0;  ///< 0 without a pair
  double across = 0;  ///< 0 without a pair
  Matrix categories;  ///< [K, K]; undefined without a pair
};

PairMeans pair_means(const CategorySums& sums, const CategoryIndex& categories);
PairMeans pair_means(const Matrix& blocks, const CategoryIndex& categories);

/// Rows with the same products x_a·x_b and at most n columns: with blocksᵀ = Q·R, the rows of Rᵀ.
/// The blocks themselves unless that halves the columns.
Matrix compact_rows(const Matrix& blocks);

/// The numbers of unordered pairs of one category, and of all.
std::int64_t n_within_pairs(const CategoryIndex& categories);
std::int64_t n_all_pairs(Eigen::Index n);

/// The same categories with the prompts `rows` alone: one may be empty then.
CategoryIndex subset_of(const CategoryIndex& categories, std::span<const std::size_t> rows);

/// The names of the categories without a prompt.
std::vector<std::string> empty_categories(const CategoryIndex& categories);

/// What a single prompt or category leaves undefined, as a notice; "" if there are two of each.
std::string nothing_to_compare(const CategoryIndex& categories);

/// `category "a" has one prompt`, `3 categories have 2 to 4 units ("a", "b", "c")`: those that have
/// `low` to `high` of what the noun names; "" if there is none.
/// @param n_members [K]
std::string sizes_text(const CategoryIndex& categories, std::span<const std::int64_t> n_members,
                       std::int64_t low, std::int64_t high, std::string_view noun);

/// What small data leave undefined: one category alone, categories with one prompt.
std::vector<std::string> category_notices(const CategoryIndex& categories);

}  // namespace moexray::stats
