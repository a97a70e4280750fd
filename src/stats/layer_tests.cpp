#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>

#include "moexray/stats/permutation_tests.h"
#include "moexray/stats/similarity.h"
#include "parallel.h"
#include "relabelling.h"

namespace moexray::stats {
namespace {

// The similarities of one layer, measured from their mean.
class LayerPairs {
 public:
  LayerPairs(const Signatures& signatures, int layer) {
    const Eigen::Index n_experts = signatures.shape.n_experts;
    Matrix block = signatures.values.middleCols(layer * n_experts, n_experts);
    block.rowwise().normalize();
    pairs_ = pair_similarity(block);
    const auto n = static_cast<double>(pairs_.rows());
    pairs_.array() -= (pairs_.sum() - n) / (n * (n - 1));
    pairs_.diagonal().setZero();
    n_ = n * (n - 1) / 2;
    sum_ = pairs_.sum() / 2;
    squares_ = pairs_.squaredNorm() / 2;
  }

  double cohens_d_of(const std::vector<std::vector<Eigen::Index>>& rows) const {
    double n = 0;
    double sum = 0;
    double squares = 0;
    for (const auto& members : rows) {
      for (std::size_t i = 0; i < members.size(); ++i) {
        const double* row = pairs_.data() + members[i] * pairs_.cols();
        for (std::size_t j = i + 1; j < members.size(); ++j) {
          const double s = row[members[j]];
          sum += s;
          squares += s * s;
        }
      }
      n += static_cast<double>(members.size() * (members.size() - 1) / 2);
    }
    return cohens_d(statistics(n, sum, squares),
                    statistics(n_ - n, sum_ - sum, squares_ - squares));
  }

 private:
  static PairStatistics statistics(double n, double sum, double squares) {
    PairStatistics result;
    result.n_pairs = static_cast<std::int64_t>(n);
    if (n > 0) result.mean = sum / n;
    if (n > 1) result.std = std::sqrt(std::max((squares - sum * (sum / n)) / (n - 1), 0.0));
    return result;
  }

  Matrix pairs_;
  double n_ = 0;
  double sum_ = 0;
  double squares_ = 0;
};

// The (m + 1)-th largest of R values, m = ⌊0.05 (R + 1)⌋ − 1: p = (1 + c)/(R + 1) of what exceeds
// it is at most 0.05, because at most c = m of them reach that.
double limit95_of(std::vector<double> largest) {
  const auto n = static_cast<std::int64_t>(largest.size());
  const std::int64_t m = (n + 1) / 20 - 1;
  if (m < 0) return undefined;
  std::nth_element(largest.begin(), largest.begin() + m, largest.end(), std::greater<>());
  return largest[static_cast<std::size_t>(m)];
}

}  // namespace

std::vector<LayerTest> test_layers(const Signatures& signatures, const CategoryIndex& categories,
                                   const Units& units, const PermutationOptions& options) {
  const std::size_t n_categories = categories.names.size();
  std::vector<LayerTest> result(static_cast<std::size_t>(signatures.shape.n_layers));
  if (signatures.size() < 2) return result;
  const bool testable = n_categories > 1 && smallest_p_value(units, categories) <= 0.999;
  std::vector<double> largest(testable ? static_cast<std::size_t>(options.n_permutations) : 0);
  for (std::size_t layer = 0; layer < result.size(); ++layer) {
    const LayerPairs pairs(signatures, static_cast<int>(layer));
    result[layer].cohens_d = pairs.cohens_d_of(rows_by_label(categories.of_prompt, n_categories));
    constexpr int batch = 16;
    const int n_draws = static_cast<int>(largest.size());
    parallel_for((n_draws + batch - 1) / batch, options.n_threads, [&](int i) {
      throw_if_stopped(options.stop);
      for (int r = i * batch; r < std::min((i + 1) * batch, n_draws); ++r) {
        const auto labels = relabelling(units, categories, options.seed, r);
        const double d = pairs.cohens_d_of(rows_by_label(labels, n_categories));
        double& so_far = largest[static_cast<std::size_t>(r)];
        if (!std::isnan(d)) so_far = std::max(so_far, std::abs(d));
      }
    });
  }
  if (!testable) return result;
  const double limit95 = limit95_of(largest);
  for (LayerTest& layer : result) {
    layer.limit95 = limit95;
    if (std::isnan(layer.cohens_d)) continue;
    const auto n_reached = std::count_if(largest.begin(), largest.end(), [&](double d) {
      return reaches(d, std::abs(layer.cohens_d));
    });
    layer.p_adjusted = permutation_p_value(n_reached, options.n_permutations);
  }
  return result;
}

}  // namespace moexray::stats
