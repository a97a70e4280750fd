#include <algorithm>
#include <cmath>

#include "moexray/stats/permutation_tests.h"
#include "parallel.h"
#include "relabelling.h"

namespace moexray::stats {
namespace {

// Distances of points to their spatial median, from the points' inner products G alone: the median
// is Σ a_j x_j with Σ a_j = 1, and ‖x_i − Σ a_j x_j‖² = G_ii − 2(Ga)_i + aᵀGa.
Vector distances_to_median(const Eigen::MatrixXd& gram) {
  constexpr double tolerance = 1e-7;
  constexpr int max_iterations = 500;
  const Eigen::Index n = gram.rows();
  Vector a = Vector::Constant(n, 1 / static_cast<double>(n));
  Vector product = gram * a;
  const auto distances = [&] {
    return Vector((gram.diagonal().array() - 2 * product.array() + a.dot(product)).max(0.0).sqrt());
  };
  // Inner products near 1 cancel: below this a distance is rounding.
  constexpr double on_the_point = 1e-7;
  Vector d = distances();
  for (int i = 0; i < max_iterations; ++i) {
    Vector weights = (d.array() > on_the_point).select(d.cwiseInverse(), 0.0);
    const double sum = weights.sum();
    if (sum == 0) break;
    Vector next = weights / sum;
    const auto n_on = static_cast<double>((d.array() <= on_the_point).count());
    if (n_on > 0) {
      const Vector pull = (next - a) * sum;
      const double r = std::sqrt(std::max(pull.dot(gram * pull), 0.0));
      const double stay = r > tolerance ? std::min(1.0, n_on / r) : 0.0;
      next = (1 - stay) * next + stay * a;
    }
    const Vector step = next - a;
    const Vector step_product = gram * step;
    a = next;
    product += step_product;
    d = distances();
    if (step.dot(step_product) < tolerance * tolerance) break;
  }
  return d;
}

struct Dispersion {
  double f = undefined;
  std::vector<double> means;
};

Dispersion dispersion_of(const Matrix& similarity, const std::vector<int>& labels,
                         std::size_t n_categories) {
  double n = 0;
  double total = 0;
  double ss_within = 0;
  std::vector<double> sizes;
  Dispersion result;
  for (const auto& rows : rows_by_label(labels, n_categories)) {
    const auto n_c = static_cast<Eigen::Index>(rows.size());
    Eigen::MatrixXd gram(n_c, n_c);
    for (Eigen::Index j = 0; j < n_c; ++j) {
      for (Eigen::Index i = 0; i < n_c; ++i) {
        gram(i, j) =
            similarity(rows[static_cast<std::size_t>(i)], rows[static_cast<std::size_t>(j)]);
      }
    }
    const Vector d = distances_to_median(gram);
    const double mean = d.mean();
    ss_within += (d.array() - mean).square().sum();
    total += d.sum();
    n += static_cast<double>(n_c);
    sizes.push_back(static_cast<double>(n_c));
    result.means.push_back(mean);
  }
  double ss_among = 0;
  for (std::size_t c = 0; c < sizes.size(); ++c) {
    ss_among += sizes[c] * (result.means[c] - total / n) * (result.means[c] - total / n);
  }
  const auto k = static_cast<double>(n_categories);
  // Distances are good to about 1e-8.
  if (ss_within > 1e-14 * n) result.f = (ss_among / (k - 1)) / (ss_within / (n - k));
  return result;
}

}  // namespace

DispersionTest test_dispersion(const Matrix& similarity, const CategoryIndex& categories,
                               const Units& units, const PermutationOptions& options) {
  DispersionTest result;
  const std::size_t n_categories = categories.names.size();
  if (n_categories < 2 || static_cast<std::size_t>(similarity.rows()) == n_categories) {
    return result;
  }
  Dispersion observed = dispersion_of(similarity, categories.of_prompt, n_categories);
  result.f.statistic = observed.f;
  result.distances = std::move(observed.means);
  if (std::isnan(observed.f) || smallest_p_value(units, categories) > 0.999) return result;
  std::vector<char> reached(static_cast<std::size_t>(options.n_permutations));
  parallel_for(options.n_permutations, options.n_threads, [&](int r) {
    throw_if_stopped(options.stop);
    const auto labels = relabelling(units, categories, options.seed, r);
    // The iteration leaves the median, and with it F, uncertain in about the seventh digit.
    const double f = dispersion_of(similarity, labels, n_categories).f;
    reached[static_cast<std::size_t>(r)] = f >= observed.f * (1 - 1e-6) ? 1 : 0;
  });
  result.f.n_draws = options.n_permutations;
  result.f.p_value =
      permutation_p_value(std::count(reached.begin(), reached.end(), 1), options.n_permutations);
  return result;
}

}  // namespace moexray::stats
