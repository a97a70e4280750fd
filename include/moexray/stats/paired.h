#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "moexray/stats/matrix.h"

namespace moexray::stats {

struct PairedOptions {
  int n_permutations = 9999;  ///< random exchanges, where there are too many to take them all
  std::uint64_t seed = 0;
  int n_threads = 1;                        ///< does not change the result
  const std::atomic<bool>* stop = nullptr;  ///< once true, the work ends with Error (interrupted)
};

/// Up to so many units all 2ⁿ exchanges are taken.
inline constexpr std::size_t max_exact_units = 12;

/// The same units twice, under the null hypothesis that the two members of a unit are exchangeable:
/// then exchanging the members of any subset of units (2ⁿ ways) changes nothing. Of R random
/// exchanges p = (1 + those that reach the observed statistic) / (1 + R); of all 2ⁿ, the observed
/// order among them, p is the share that does.
struct PairedTest {
  double statistic = undefined;
  double p_two_sided = undefined;  ///< |statistic| is reached
  double p_greater = undefined;    ///< the statistic is reached
  std::size_t n_units = 0;         ///< p cannot fall below 1 / 2ⁿ (two-sided: 2 / 2ⁿ)
  int n_draws = 0;                 ///< exchanges; all 2ⁿ if exact
  bool exact = false;
};

/// The mean difference, whose exchanges are sign flips.
/// @param differences [n] one number a unit; undefined ones are left out
/// @throws Error (interrupted)
PairedTest paired_test(std::span<const double> differences, const PairedOptions& options);

/// A statistic of all units, some of which (those not 0: [n]) have their members exchanged. Called
/// from several threads at a time.
using ExchangedStatistic = std::function<double(std::span<const char> exchanged)>;

/// Any statistic that compares the two members, as the difference of the gap of two sets of
/// signatures does. Two-sided wants one that changes its sign, and nothing else, when all units are
/// exchanged. Where an exchange leaves it undefined it counts as reached; all p-values are
/// undefined where the observed one is.
/// @throws Error (interrupted)
PairedTest paired_test(std::size_t n_units, const ExchangedStatistic& statistic,
                       const PairedOptions& options);

/// Several statistics that one pass over the data gives: fills `values`.
using ExchangedStatistics =
    std::function<void(std::span<const char> exchanged, std::span<double> values)>;

/// The same for each of `n_statistics`, under the same exchanges.
/// @return [n_statistics]
/// @throws Error (interrupted)
std::vector<PairedTest> paired_tests(std::size_t n_units, std::size_t n_statistics,
                                     const ExchangedStatistics& statistics,
                                     const PairedOptions& options);

/// A statistic of two whole matrices with a row a unit.
using MatrixStatistic = std::function<double(const Matrix& first, const Matrix& second)>;

/// The same, exchanging whole rows of the two.
/// @param first [n, D]
/// @param second [n, D]
/// @throws Error (runtime) if the shapes differ, Error (interrupted)
PairedTest paired_test(const Matrix& first, const Matrix& second, const MatrixStatistic& statistic,
                       const PairedOptions& options);

}  // namespace moexray::stats
