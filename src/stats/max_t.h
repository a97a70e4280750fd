#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace moexray::stats {

/// How many |t| lie in each step of 1/1024; from 64 on they are one.
class PooledHistogram {
 public:
  static std::size_t bin(double t);
  void add(double t) { ++counts_[bin(t)]; }
  void add(const PooledHistogram& other);
  /// [bins] how many lie in a bin or above.
  std::vector<std::uint64_t> reached() const;

 private:
  static constexpr std::size_t n_bins = 65'536;
  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(n_bins);
};

/// What draws under the null hypothesis give for many tests at once.
struct MaxTNull {
  std::vector<double> largest;  ///< [R] |t| of all tests, of each draw
  PooledHistogram pooled = {};  ///< |t| of all tests and draws
  bool exact = false;           ///< the draws are all that there are, the observed one among them
};

/// [tests] of each; undefined where t is.
struct MaxTValues {
  std::vector<double> p_value;     ///< share of all drawn |t| that reach |t|, to 1/1024
  std::vector<double> p_adjusted;  ///< share of the draws whose largest |t| reaches |t|
  std::vector<double> q_value;     ///< Benjamini–Hochberg of p_value
};

/// Westfall and Young's single-step max-T and pooled p-values. Unless all draws were taken, the
/// observed values count among the drawn ones.
/// @param t [tests] undefined ones are no tests: nothing must have been pooled of them
MaxTValues max_t(std::span<const double> t, MaxTNull null);

}  // namespace moexray::stats
