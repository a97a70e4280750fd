#include "moexray/stats/folds.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/random.h"
#include "moexray/core/shuffle.h"
#include "pair_means.h"

namespace moexray::stats {
namespace {

// `n_members` [K] prompts or units of each category.
void check_sizes(const CategoryIndex& categories, std::span<const std::int64_t> n_members,
                 int n_folds, const std::string& unit) {
  if (n_folds < 2) {
    throw Error(ErrorKind::usage, {"number of folds", {}, "at least 2", std::to_string(n_folds)});
  }
  const std::string singles = sizes_text(categories, n_members, 0, 1, unit);
  if (!singles.empty()) {
    throw Error(ErrorKind::data, fmt::format("{}: at least one {} per fold is needed, of {} folds",
                                             singles, unit, n_folds));
  }
  const std::string small = sizes_text(categories, n_members, 2, n_folds - 1, unit);
  if (small.empty()) return;
  throw Error(ErrorKind::data,
              fmt::format("{}: at least one per fold is needed, of {} folds (--folds {} would do)",
                          small, n_folds, *std::min_element(n_members.begin(), n_members.end())));
}

// [units, K] members of each category.
CountMatrix category_counts(const CategoryIndex& categories, const Units& units) {
  CountMatrix counts = CountMatrix::Zero(static_cast<Eigen::Index>(units.size()),
                                         static_cast<Eigen::Index>(categories.names.size()));
  for (std::size_t i = 0; i < categories.of_prompt.size(); ++i) {
    ++counts(units.of_prompt[i], categories.of_prompt[i]);
  }
  return counts;
}

// The fold that a unit with `members` [K] unbalances least.
Eigen::Index best_fold(const Eigen::RowVectorXd& shares, const Matrix& fold_shares,
                       const Vector& fold_sizes) {
  Eigen::Index best = 0;
  double best_cost = 0;
  for (Eigen::Index fold = 0; fold < fold_shares.rows(); ++fold) {
    const double cost =
        (fold_shares.row(fold) + shares).squaredNorm() - fold_shares.row(fold).squaredNorm();
    // Costs are sums of a few fractions: differences below this are rounding.
    constexpr double resolution = 1e-12;
    const bool equal = std::abs(cost - best_cost) <= resolution;
    if (fold == 0 || (!equal && cost < best_cost) ||
        (equal && fold_sizes(fold) < fold_sizes(best))) {
      best = fold;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace

std::vector<int> stratified_folds(std::span<const std::string> ids, const CategoryIndex& categories,
                                  int n_folds, std::uint64_t seed) {
  check_sizes(categories, categories.n_prompts, n_folds, "prompt");
  using Entry = std::tuple<int, std::uint64_t, std::string_view, std::size_t>;
  std::vector<Entry> order;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    order.emplace_back(categories.of_prompt[i], RandomStream(seed, "fold " + ids[i])(), ids[i], i);
  }
  std::sort(order.begin(), order.end());
  // Dealing goes on from one category to the next, which evens out the sizes of the folds.
  std::vector<int> folds(ids.size());
  for (std::size_t place = 0; place < order.size(); ++place) {
    folds[std::get<3>(order[place])] = static_cast<int>(place % static_cast<std::size_t>(n_folds));
  }
  return folds;
}

std::vector<int> grouped_folds(std::span<const std::string> ids, const CategoryIndex& categories,
                               const Units& units, int n_folds, std::uint64_t seed) {
  if (!units.grouped) return stratified_folds(ids, categories, n_folds, seed);
  const CountMatrix counts = category_counts(categories, units);
  std::vector<std::int64_t> n_units(categories.names.size());
  for (Eigen::Index c = 0; c < counts.cols(); ++c) {
    n_units[static_cast<std::size_t>(c)] = (counts.col(c).array() > 0).count();
  }
  check_sizes(categories, n_units, n_folds, "group");
  using Entry = std::tuple<std::int64_t, std::uint64_t, std::size_t>;
  std::vector<Entry> order;
  for (std::size_t u = 0; u < units.size(); ++u) {
    order.emplace_back(-static_cast<std::int64_t>(units.members[u].size()),
                       RandomStream(seed, "fold of group " + units.names[u])(), u);
  }
  std::sort(order.begin(), order.end());
  Matrix fold_shares = Matrix::Zero(n_folds, counts.cols());
  Vector fold_sizes = Vector::Zero(n_folds);
  const Eigen::RowVectorXd totals = counts.colwise().sum().cast<double>();
  std::vector<int> folds(ids.size());
  for (const auto& [size, random, u] : order) {
    const Eigen::RowVectorXd members = counts.row(static_cast<Eigen::Index>(u)).cast<double>();
    const Eigen::RowVectorXd shares = members.array() / totals.array();
    const Eigen::Index fold = best_fold(shares, fold_shares, fold_sizes);
    fold_shares.row(fold) += shares;
    fold_sizes(fold) += members.sum();
    for (const std::size_t i : units.members[u]) folds[i] = static_cast<int>(fold);
  }
  return folds;
}

std::vector<int> labels_permuted_within_folds(const Units& units, const CategoryIndex& categories,
                                              std::span<const int> folds, RandomStream& random) {
  if (!units.nested()) return permuted_labels(units, categories, random);
  std::map<int, std::vector<std::size_t>> units_of_fold;
  for (std::size_t u = 0; u < units.size(); ++u) {
    units_of_fold[folds[units.members[u].front()]].push_back(u);
  }
  std::vector<int> labels(folds.size());
  for (const auto& [fold, own] : units_of_fold) {
    std::vector<std::size_t> order = own;
    shuffle(order, random);
    for (std::size_t i = 0; i < own.size(); ++i) {
      for (const std::size_t row : units.members[own[i]]) labels[row] = units.category[order[i]];
    }
  }
  return labels;
}

}  // namespace moexray::stats
