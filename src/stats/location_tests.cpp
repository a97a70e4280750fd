#include <algorithm>
#include <cmath>

#include "moexray/stats/permutation_tests.h"
#include "pair_means.h"
#include "parallel.h"
#include "relabelling.h"

namespace moexray::stats {
namespace {

struct Location {
  double gap = 0;  // of unit vectors
  double f = 0;
  double r_squared = 0;
};

class LocationStatistics {
 public:
  // `squares`: Σ‖x‖².
  LocationStatistics(const Matrix& blocks, double squares, std::size_t n_categories)
      : rows_(compact_rows(blocks)),
        squares_(squares),
        n_categories_(n_categories),
        total_(rows_.colwise().sum().squaredNorm()) {}

  Location of(const std::vector<int>& labels) const {
    const auto n = static_cast<double>(rows_.rows());
    const auto k = static_cast<double>(n_categories_);
    double within_sum = 0;
    double n_within = 0;
    double ss_within = squares_;
    for (const auto& members : rows_by_label(labels, n_categories_)) {
      Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(rows_.cols());
      for (const Eigen::Index i : members) sum += rows_.row(i);
      const auto n_c = static_cast<double>(members.size());
      const double square = sum.squaredNorm();
      within_sum += (square - n_c) / 2;
      n_within += n_c * (n_c - 1) / 2;
      if (n_c > 0) ss_within -= square / n_c;
    }
    const double n_across = n * (n - 1) / 2 - n_within;
    const double ss_total = squares_ - total_ / n;
    const double ss_among = ss_total - ss_within;
    return {within_sum / n_within - ((total_ - n) / 2 - within_sum) / n_across,
            (ss_among / (k - 1)) / (ss_within / (n - k)), ss_among / ss_total};
  }

 private:
  Matrix rows_;
  double squares_;
  std::size_t n_categories_;
  double total_;  // ‖Σx‖²
};

// `squares`: Σ‖x‖² of the rows.
LocationTests located(const Matrix& blocks, double squares, const CategoryIndex& categories,
                      const Units& units, const PermutationOptions& options) {
  LocationTests result;
  const std::size_t n_categories = categories.names.size();
  if (n_categories < 2 || static_cast<std::size_t>(blocks.rows()) == n_categories) return result;
  const LocationStatistics statistics(blocks, squares, n_categories);
  const Location observed = statistics.of(categories.of_prompt);
  result.gap.statistic = observed.gap;
  // Prompts that are all alike leave rounding errors to divide by each other.
  const auto n = static_cast<double>(blocks.rows());
  const bool has_spread = squares - blocks.colwise().sum().squaredNorm() / n > 1e-12 * squares;
  if (has_spread) {
    result.permanova.statistic = observed.f;
    result.r_squared = observed.r_squared;
  }
  if (!has_spread || smallest_p_value(units, categories) > 0.999) return result;
  std::vector<Location> drawn(static_cast<std::size_t>(options.n_permutations));
  constexpr int batch = 64;
  parallel_for((options.n_permutations + batch - 1) / batch, options.n_threads, [&](int i) {
    throw_if_stopped(options.stop);
    for (int r = i * batch; r < std::min((i + 1) * batch, options.n_permutations); ++r) {
      drawn[static_cast<std::size_t>(r)] =
          statistics.of(relabelling(units, categories, options.seed, r));
    }
  });
  std::int64_t n_gap = 0;
  std::int64_t n_f = 0;
  for (const Location& one : drawn) {
    n_gap += reaches(one.gap, observed.gap) ? 1 : 0;
    n_f += reaches(one.f, observed.f) ? 1 : 0;
  }
  result.gap.n_draws = result.permanova.n_draws = options.n_permutations;
  result.gap.p_value = permutation_p_value(n_gap, options.n_permutations);
  result.permanova.p_value = permutation_p_value(n_f, options.n_permutations);
  return result;
}

}  // namespace

LocationTests test_location(const Matrix& blocks, const CategoryIndex& categories,
                            const Units& units, const PermutationOptions& options) {
  return located(blocks, static_cast<double>(blocks.rows()), categories, units, options);
}

PseudoF test_pseudo_f(const Matrix& rows, const CategoryIndex& categories, const Units& units,
                      const PermutationOptions& options) {
  const LocationTests tests = located(rows, rows.squaredNorm(), categories, units, options);
  return {tests.permanova, tests.r_squared};
}

}  // namespace moexray::stats
