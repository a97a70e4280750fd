#include "moexray/stats/paired.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <vector>

#include "exchange.h"
#include "moexray/core/error.h"
#include "moexray/core/random.h"
#include "parallel.h"
#include "relabelling.h"

namespace moexray::stats {

std::vector<char> exchange(std::size_t n_units, bool exact, std::uint64_t seed, int draw) {
  std::vector<char> exchanged(n_units);
  if (exact) {
    for (std::size_t u = 0; u < n_units; ++u) exchanged[u] = (draw >> u & 1) != 0 ? 1 : 0;
    return exchanged;
  }
  RandomStream random(seed, "exchange " + std::to_string(draw));
  std::uint64_t bits = 0;
  for (std::size_t u = 0; u < n_units; ++u) {
    if (u % 64 == 0) bits = random();
    exchanged[u] = static_cast<char>(bits >> u % 64 & 1);
  }
  return exchanged;
}

namespace {

// Exchanges that should give the observed value again differ from it by rounding, which is of the
// size of what is summed up, not of the sum.
double rounding_of(const std::vector<double>& drawn, double observed) {
  double largest = std::abs(observed);
  for (const double value : drawn) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  return 1e-11 * largest;
}

// From the statistic under all exchanges that were drawn.
void add_p_values(const std::vector<double>& drawn, bool exact, PairedTest& result) {
  result.exact = exact;
  result.n_draws = static_cast<int>(drawn.size());
  const double rounding = rounding_of(drawn, result.statistic);
  std::int64_t n_two_sided = 0;
  std::int64_t n_greater = 0;
  for (const double value : drawn) {
    n_two_sided += std::abs(value) < std::abs(result.statistic) - rounding ? 0 : 1;
    n_greater += value < result.statistic - rounding ? 0 : 1;
  }
  const auto p_value = [&](std::int64_t n_reached) {
    return exact ? static_cast<double>(n_reached) / result.n_draws
                 : permutation_p_value(n_reached, result.n_draws);
  };
  result.p_two_sided = p_value(n_two_sided);
  result.p_greater = p_value(n_greater);
}

std::string shape_text(const Matrix& matrix) {
  return std::to_string(matrix.rows()) + " × " + std::to_string(matrix.cols());
}

}  // namespace

std::vector<PairedTest> paired_tests(std::size_t n_units, std::size_t n_statistics,
                                     const ExchangedStatistics& statistics,
                                     const PairedOptions& options) {
  std::vector<PairedTest> results(n_statistics);
  for (PairedTest& result : results) result.n_units = n_units;
  if (n_units == 0) return results;
  std::vector<double> observed(n_statistics);
  statistics(std::vector<char>(n_units), observed);
  for (std::size_t s = 0; s < n_statistics; ++s) results[s].statistic = observed[s];
  if (std::all_of(observed.begin(), observed.end(), [](double v) { return std::isnan(v); })) {
    return results;
  }
  const bool exact = n_units <= max_exact_units;
  const int n_draws = exact ? 1 << n_units : options.n_permutations;
  std::vector<std::vector<double>> drawn(n_statistics,
                                         std::vector<double>(static_cast<std::size_t>(n_draws)));
  constexpr int batch = 64;
  parallel_for((n_draws + batch - 1) / batch, options.n_threads, [&](int i) {
    std::vector<double> values(n_statistics);
    for (int r = i * batch; r < std::min((i + 1) * batch, n_draws); ++r) {
      throw_if_stopped(options.stop);
      statistics(exchange(n_units, exact, options.seed, r), values);
      for (std::size_t s = 0; s < n_statistics; ++s) {
        drawn[s][static_cast<std::size_t>(r)] = values[s];
      }
    }
  });
  for (std::size_t s = 0; s < n_statistics; ++s) {
    if (!std::isnan(observed[s])) add_p_values(drawn[s], exact, results[s]);
  }
  return results;
}

PairedTest paired_test(std::size_t n_units, const ExchangedStatistic& statistic,
                       const PairedOptions& options) {
  const auto one = [&](std::span<const char> exchanged, std::span<double> values) {
    values[0] = statistic(exchanged);
  };
  return paired_tests(n_units, 1, one, options).front();
}

PairedTest paired_test(std::span<const double> differences, const PairedOptions& options) {
  std::vector<double> defined;
  std::copy_if(differences.begin(), differences.end(), std::back_inserter(defined),
               [](double d) { return !std::isnan(d); });
  const auto mean = [&](std::span<const char> exchanged) {
    double sum = 0;
    for (std::size_t u = 0; u < defined.size(); ++u) {
      sum += exchanged[u] != 0 ? -defined[u] : defined[u];
    }
    return sum / static_cast<double>(defined.size());
  };
  return paired_test(defined.size(), mean, options);
}

PairedTest paired_test(const Matrix& first, const Matrix& second, const MatrixStatistic& statistic,
                       const PairedOptions& options) {
  if (first.rows() != second.rows() || first.cols() != second.cols()) {
    throw Error(ErrorKind::runtime,
                {"paired matrices", {}, shape_text(first) + " of both", shape_text(second)});
  }
  const auto of_rows = [&](std::span<const char> exchanged) {
    Matrix one = first;
    Matrix other = second;
    for (Eigen::Index i = 0; i < one.rows(); ++i) {
      if (exchanged[static_cast<std::size_t>(i)] != 0) one.row(i).swap(other.row(i));
    }
    return statistic(one, other);
  };
  return paired_test(static_cast<std::size_t>(first.rows()), of_rows, options);
}

}  // namespace moexray::stats
