#include "neighbors.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <tuple>
#include <utility>

#include "parallel.h"

namespace moexray::stats {
namespace {

using FloatMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Squared distances between rows: exact one by one, approximate for all at once.
class RowDistances {
 public:
  explicit RowDistances(const Matrix& rows) : rows_(rows) {
    const Eigen::RowVectorXd mean = rows.colwise().mean();
    double largest = 0;
    for (Eigen::Index i = 0; i < rows.rows(); ++i) {
      largest = std::max(largest, (rows.row(i) - mean).norm());
    }
    // Rows of length up to 1 neither overflow nor lose much to underflow in single precision.
    const double scale = largest > 0 ? 1 / largest : 1;
    units_ = scale * scale;
    filter_ = ((rows.rowwise() - mean) * scale).cast<float>();
    squared_norms_ = filter_.cast<double>().rowwise().squaredNorm().cast<float>();
    // Rounding of the products (D sums), of the rows, of their norms and of the final sum.
    slack_ = static_cast<float>(2 * (static_cast<double>(rows.cols()) + 32) *
                                std::numeric_limits<float>::epsilon() / 2);
  }

  Eigen::Index size() const { return rows_.rows(); }

  double exact(Eigen::Index i, Eigen::Index j) const {
    return (rows_.row(i) - rows_.row(j)).squaredNorm();
  }
  // An exact distance in the units of the approximate ones.
  float scaled(double exact_distance) const { return static_cast<float>(exact_distance * units_); }
  // A bound of the error of row i's approximate distances.
  float slack(Eigen::Index i) const { return slack_ * (squared_norms_(i) + 1) + 1e-30F; }

  // Calls body(i, approximate) for every row i, approximate[j] for all j.
  void for_each_row(const SearchOptions& options,
                    const std::function<void(Eigen::Index, const float*)>& body) const {
    constexpr Eigen::Index rows_at_once = 128;
    const Eigen::Index n = size();
    const auto n_blocks = static_cast<int>((n + rows_at_once - 1) / rows_at_once);
    parallel_for(n_blocks, options.n_threads, [&](int block) {
      throw_if_stopped(options.stop);
      const Eigen::Index first = block * rows_at_once;
      const Eigen::Index n_rows = std::min(rows_at_once, n - first);
      FloatMatrix distances(n_rows, n);
      distances.noalias() = filter_.middleRows(first, n_rows) * filter_.transpose();
      for (Eigen::Index r = 0; r < n_rows; ++r) {
        auto row = distances.row(r);
        row = (squared_norms_.transpose().array() + squared_norms_(first + r) - 2 * row.array())
                  .matrix();
        body(first + r, row.data());
      }
    });
  }

 private:
  const Matrix& rows_;
  FloatMatrix filter_;  // [n, D] the rows, centred and scaled
  Eigen::VectorXf squared_norms_;
  double units_ = 1;
  float slack_ = 0;
};

}  // namespace

Neighbors nearest_neighbors(const Matrix& rows, int k, const SearchOptions& options) {
  const Eigen::Index n = rows.rows();
  Neighbors result;
  result.k = k;
  result.indices.resize(static_cast<std::size_t>(n * k));
  result.squared_distances.resize(static_cast<std::size_t>(n * k));
  if (k == 0) return result;
  const RowDistances distances(rows);
  distances.for_each_row(options, [&](Eigen::Index i, const float* approximate) {
    std::vector<float> others;
    others.reserve(static_cast<std::size_t>(n));
    others.insert(others.end(), approximate, approximate + i);
    others.insert(others.end(), approximate + i + 1, approximate + n);
    const auto kth = others.begin() + (k - 1);
    std::nth_element(others.begin(), kth, others.end());
    // At least k rows are truly within *kth + slack, and none of those exceeds this:
    const float bound = *kth + 2 * distances.slack(i);
    std::vector<std::pair<double, std::int32_t>> nearest;
    for (Eigen::Index j = 0; j < n; ++j) {
      if (j == i || approximate[j] > bound) continue;
      nearest.emplace_back(distances.exact(i, j), static_cast<std::int32_t>(j));
    }
    std::partial_sort(nearest.begin(), nearest.begin() + k, nearest.end());
    for (int r = 0; r < k; ++r) {
      const auto entry = static_cast<std::size_t>(i * k + r);
      std::tie(result.squared_distances[entry], result.indices[entry]) =
          nearest[static_cast<std::size_t>(r)];
    }
  });
  return result;
}

std::vector<std::int32_t> neighbor_ranks(const Matrix& rows,
                                         const std::vector<std::int32_t>& neighbors, int k,
                                         const SearchOptions& options) {
  const auto n = static_cast<std::int32_t>(rows.rows());
  std::vector<std::int32_t> ranks(neighbors.size());
  if (k == 0) return ranks;
  const RowDistances distances(rows);
  distances.for_each_row(options, [&](Eigen::Index i, const float* approximate) {
    for (int r = 0; r < k; ++r) {
      const auto entry = static_cast<std::size_t>(i * k + r);
      const std::int32_t neighbor = neighbors[entry];
      const double limit = distances.exact(i, neighbor);
      const float low = distances.scaled(limit) - distances.slack(i);
      const float high = distances.scaled(limit) + distances.slack(i);
      std::int32_t n_nearer = 0;
      for (std::int32_t j = 0; j < n; ++j) {
        if (approximate[j] > high || j == i || j == neighbor) continue;
        if (approximate[j] < low ||
            std::pair(distances.exact(i, j), j) < std::pair(limit, neighbor)) {
          ++n_nearer;
        }
      }
      ranks[entry] = n_nearer;
    }
  });
  return ranks;
}

}  // namespace moexray::stats
