#include "tsne_objective.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "parallel.h"
#include "repulsion.h"

namespace moexray::stats {
namespace {

// The conditional probabilities of one point's neighbours.
// @param squared_distances [k], ascending
void conditional_probabilities(const double* squared_distances, int k, double perplexity,
                               double* probabilities) {
  const double target = std::log(perplexity);
  double low = 0;
  double high = 0;  // 0: no upper bound known
  double beta = 1;
  constexpr int max_steps = 200;
  for (int step = 0; step < max_steps; ++step) {
    // Distances beyond the smallest: the probabilities are the same, and one of them is not 0.
    double sum = 0;
    double mean = 0;
    for (int r = 0; r < k; ++r) {
      const double excess = squared_distances[r] - squared_distances[0];
      probabilities[r] = std::exp(-beta * excess);
      sum += probabilities[r];
      mean += probabilities[r] * excess;
    }
    for (int r = 0; r < k; ++r) probabilities[r] /= sum;
    const double difference = std::log(sum) + beta * mean / sum - target;
    if (std::abs(difference) <= 1e-10) return;
    if (difference > 0) {
      low = beta;
      beta = high > 0 ? (low + high) / 2 : 2 * beta;
    } else {
      high = beta;
      beta = (low + high) / 2;
    }
    if (!std::isfinite(beta)) return;
  }
}

struct Entry {
  std::int32_t column;
  double value;
};

// Work for one thread: enough pairs to be worth a thread's start.
Eigen::Index rows_a_task(Eigen::Index n) {
  constexpr Eigen::Index pairs_a_task = 500'000;
  return std::max<Eigen::Index>(64, pairs_a_task / n + 1);
}

void for_each_point(Eigen::Index n, int n_threads, const std::function<void(Eigen::Index)>& body) {
  const Eigen::Index n_rows = rows_a_task(n);
  parallel_for(static_cast<int>((n + n_rows - 1) / n_rows), n_threads, [&](int task) {
    const Eigen::Index last = std::min(n, (task + 1) * n_rows);
    for (Eigen::Index i = task * n_rows; i < last; ++i) body(i);
  });
}

}  // namespace

InputSimilarities input_similarities(const Neighbors& neighbors, double perplexity) {
  const auto k = static_cast<std::size_t>(neighbors.k);
  const std::size_t n = neighbors.indices.size() / k;
  std::vector<double> conditional(neighbors.indices.size());
  for (std::size_t i = 0; i < n; ++i) {
    conditional_probabilities(&neighbors.squared_distances[i * k], neighbors.k, perplexity,
                              &conditional[i * k]);
  }
  // Every entry of the conditional matrix and of its transpose, row by row.
  std::vector<std::int64_t> starts(n + 1, 0);
  for (std::size_t i = 0; i < n; ++i) starts[i + 1] += neighbors.k;
  for (const std::int32_t j : neighbors.indices) ++starts[static_cast<std::size_t>(j) + 1];
  for (std::size_t i = 0; i < n; ++i) starts[i + 1] += starts[i];
  std::vector<Entry> entries(2 * conditional.size());
  std::vector<std::int64_t> ends(starts.begin(), starts.end() - 1);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t entry = i * k; entry < (i + 1) * k; ++entry) {
      const auto j = static_cast<std::size_t>(neighbors.indices[entry]);
      const double value = conditional[entry] / (2 * static_cast<double>(n));
      entries[static_cast<std::size_t>(ends[i]++)] = {neighbors.indices[entry], value};
      entries[static_cast<std::size_t>(ends[j]++)] = {static_cast<std::int32_t>(i), value};
    }
  }
  InputSimilarities result;
  result.row_starts.push_back(0);
  for (std::size_t i = 0; i < n; ++i) {
    const auto first = entries.begin() + starts[i];
    const auto last = entries.begin() + starts[i + 1];
    std::sort(first, last, [](const Entry& a, const Entry& b) { return a.column < b.column; });
    for (auto entry = first; entry != last; ++entry) {
      if (entry != first && result.columns.back() == entry->column) {
        result.values.back() += entry->value;
      } else {
        result.columns.push_back(entry->column);
        result.values.push_back(entry->value);
      }
    }
    result.row_starts.push_back(static_cast<std::int64_t>(result.columns.size()));
  }
  return result;
}

double TsneObjective::gradient(const Matrix& y, double exaggeration, Matrix& gradient) const {
  const Eigen::Index n = y.rows();
  const Eigen::VectorXf xs = y.col(0).cast<float>();
  const Eigen::VectorXf ys = y.col(1).cast<float>();
  Matrix repulsions(n, 2);
  Vector z(n);
  gradient.resize(n, 2);
  for_each_point(n, n_threads_, [&](Eigen::Index i) {
    const Repulsion all = repulsion(xs.data(), ys.data(), static_cast<int>(n), static_cast<int>(i));
    repulsions(i, 0) = all.x;
    repulsions(i, 1) = all.y;
    z(i) = all.z;
    double gx = 0;
    double gy = 0;
    const auto first = static_cast<std::size_t>(p_.row_starts[static_cast<std::size_t>(i)]);
    const auto last = static_cast<std::size_t>(p_.row_starts[static_cast<std::size_t>(i) + 1]);
    for (std::size_t entry = first; entry < last; ++entry) {
      const double dx = y(i, 0) - y(p_.columns[entry], 0);
      const double dy = y(i, 1) - y(p_.columns[entry], 1);
      const double pw = p_.values[entry] / (1 + dx * dx + dy * dy);
      gx += pw * dx;
      gy += pw * dy;
    }
    gradient(i, 0) = gx;
    gradient(i, 1) = gy;
  });
  const double total = z.sum();
  gradient = 4 * (exaggeration * gradient - repulsions / total);
  return total;
}

double TsneObjective::normalizer(const Matrix& y) const {
  const Eigen::VectorXd xs = y.col(0);
  const Eigen::VectorXd ys = y.col(1);
  Vector sums(y.rows());
  for_each_point(y.rows(), n_threads_, [&](Eigen::Index i) {
    sums(i) =
        (1 + (xs.array() - xs(i)).square() + (ys.array() - ys(i)).square()).inverse().sum() - 1;
  });
  return sums.sum();
}

double TsneObjective::divergence(const Matrix& y, double z) const {
  double total = 0;
  for (Eigen::Index i = 0; i < p_.size(); ++i) {
    const auto first = static_cast<std::size_t>(p_.row_starts[static_cast<std::size_t>(i)]);
    const auto last = static_cast<std::size_t>(p_.row_starts[static_cast<std::size_t>(i) + 1]);
    for (std::size_t entry = first; entry < last; ++entry) {
      const double p = p_.values[entry];
      if (p <= 0) continue;
      const double distance = (y.row(i) - y.row(p_.columns[entry])).squaredNorm();
      total += p * (std::log(p * z) + std::log1p(distance));
    }
  }
  return total;
}

}  // namespace moexray::stats
