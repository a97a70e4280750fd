#include "moexray/stats/rsa.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "moexray/core/wording.h"
#include "moexray/stats/similarity.h"
#include "parallel.h"
#include "relabelling.h"
#include "studentised.h"

namespace moexray::stats {
namespace {

constexpr double min_reliability = 0.2;

// Similarities of the pairs of different units less their mean, as a vector of length 1; 0 inside a
// unit. Inner products of two such matrices, halved, are correlations over pairs.
Matrix standardised_pairs(const Matrix& blocks, const Units& units) {
  Matrix pairs = pair_similarity(blocks);
  double sum = 0;
  double n = 0;
  const auto unit = [&](Eigen::Index row) {
    return units.of_prompt[static_cast<std::size_t>(row)];
  };
  for (Eigen::Index i = 0; i < pairs.rows(); ++i) {
    for (Eigen::Index j = 0; j < pairs.cols(); ++j) {
      if (unit(i) == unit(j)) continue;
      sum += pairs(i, j);
      n += 1;
    }
  }
  const double mean = sum / n;
  for (Eigen::Index i = 0; i < pairs.rows(); ++i) {
    for (Eigen::Index j = 0; j < pairs.cols(); ++j) {
      pairs(i, j) = unit(i) == unit(j) ? 0 : pairs(i, j) - mean;
    }
  }
  const double norm = pairs.norm();
  if (norm < 1e-10) return Matrix::Constant(pairs.rows(), pairs.cols(), undefined);
  return pairs / norm;
}

double correlation(const Matrix& first, const Matrix& second) {
  return first.cwiseProduct(second).sum();
}

// Σ_ij A_ij B_π(i)π(j).
double permuted_correlation(const Matrix& first, const Matrix& second,
                            const std::vector<std::size_t>& rows) {
  double sum = 0;
  const Eigen::Index n = first.rows();
  for (Eigen::Index i = 0; i < n; ++i) {
    const double* const own = first.data() + i * n;
    const double* const other =
        second.data() + static_cast<Eigen::Index>(rows[static_cast<std::size_t>(i)]) * n;
    for (Eigen::Index j = 0; j < i; ++j) sum += own[j] * other[rows[static_cast<std::size_t>(j)]];
  }
  return 2 * sum;
}

// A pair of matrices between which a correlation is taken: one, or two of which the mean counts.
using Correlated = std::vector<std::pair<const Matrix*, const Matrix*>>;

// `name` is that of the random stream.
PermutationTest mantel_test(const Correlated& correlated, const PairedPrompts& prompts,
                            const RowPermutations& permutations, const std::string& name,
                            const RsaOptions& options) {
  PermutationTest test;
  std::vector<std::size_t> as_they_are(prompts.size());
  for (std::size_t i = 0; i < as_they_are.size(); ++i) as_they_are[i] = i;
  const auto statistic = [&](const std::vector<std::size_t>& rows) {
    double sum = 0;
    for (const auto& [a, b] : correlated) sum += permuted_correlation(*a, *b, rows);
    return sum / static_cast<double>(correlated.size());
  };
  test.statistic = statistic(as_they_are);
  if (std::isnan(test.statistic)) return test;
  const auto n = static_cast<double>(prompts.size());
  test.n_draws = affordable_draws(options.n_permutations, 1e9, n * n, 399);
  std::vector<char> reached(static_cast<std::size_t>(test.n_draws));
  parallel_for(test.n_draws, options.n_threads, [&](int draw) {
    throw_if_stopped(options.work.stop);
    RandomStream random(options.seed, name + " " + std::to_string(draw));
    const double drawn = statistic(permutations.draw(random));
    reached[static_cast<std::size_t>(draw)] = reaches(drawn, test.statistic) ? 1 : 0;
  });
  test.p_value = permutation_p_value(std::count(reached.begin(), reached.end(), 1), test.n_draws);
  return test;
}

void add_mantel_tests(const TestedPair& tested, const RsaOptions& options, int block,
                      RsaResult& result) {
  result.not_tested = tested.reason;
  const PairedPrompts& prompts = tested.prompts;
  if (result.not_tested.empty() && prompts.units.size() < options.min_units) {
    result.not_tested = fewer_than(options.min_units, prompts.units);
  }
  const RowPermutations of_all(prompts, false);
  if (result.not_tested.empty() && !of_all.allow_test()) {
    result.not_tested = "too few groups have as many prompts as another";
  }
  result.not_tested_within = result.not_tested;
  if (!result.not_tested.empty()) return;
  std::vector<Matrix> matrices;
  if (block > 0) {
    for (const RoutedTokens* side : {&prompts.first_tokens, &prompts.second_tokens}) {
      const TokenHalves halves = token_halves(*side, tested.fitting_block(block));
      for (const Matrix* half : {&halves.first, &halves.second}) {
        if (half->rows() > 0) matrices.push_back(standardised_pairs(*half, prompts.units));
      }
    }
  }
  Correlated correlated;
  result.tests_halves = matrices.size() == 4;
  if (result.tests_halves) {
    correlated = {{&matrices[0], &matrices[3]}, {&matrices[1], &matrices[2]}};
  } else {
    matrices = {standardised_pairs(unit_blocks(prompts.first), prompts.units),
                standardised_pairs(unit_blocks(prompts.second), prompts.units)};
    correlated = {{&matrices[0], &matrices[1]}};
  }
  result.mantel = mantel_test(correlated, prompts, of_all, "mantel", options);
  if (!prompts.has_categories() || prompts.categories.names.size() < 2) {
    result.not_tested_within =
        prompts.has_categories() ? "there is only one category" : "some prompts have no category";
    return;
  }
  const RowPermutations within(prompts, true);
  if (within.allow_test()) {
    result.mantel_within = mantel_test(correlated, prompts, within, "mantel within", options);
  } else {
    result.not_tested_within = "too few prompts of one category can be exchanged";
  }
}

// Sums over pairs of units of the similarities of some sources, under many weightings of the units,
// and what goes with a copy of each unit.
class WeightedPairSums {
 public:
  // `values` is 0 inside a unit; it is summed up by pairs of units.
  WeightedPairSums(const Matrix& values, const Units& units, const Eigen::MatrixXd& weights,
                   int n_threads)
      : sums_(weights.cols()), of_unit_(weights.rows(), weights.cols()) {
    Matrix by_unit = values;
    if (units.grouped) {
      by_unit = Matrix::Zero(weights.rows(), weights.rows());
      for (Eigen::Index i = 0; i < values.rows(); ++i) {
        for (Eigen::Index j = 0; j < values.cols(); ++j) {
          by_unit(units.of_prompt[static_cast<std::size_t>(i)],
                  units.of_prompt[static_cast<std::size_t>(j)]) += values(i, j);
        }
      }
    } else {
      // Units stand in another order than prompts.
      std::vector<int> row_of(units.of_prompt.size());
      for (std::size_t i = 0; i < row_of.size(); ++i) {
        row_of[static_cast<std::size_t>(units.of_prompt[i])] = static_cast<int>(i);
      }
      by_unit = values(row_of, row_of);
    }
    constexpr Eigen::Index at_once = 32;
    const auto n_blocks = static_cast<int>((weights.cols() + at_once - 1) / at_once);
    parallel_for(n_blocks, n_threads, [&](int block) {
      const Eigen::Index first = block * at_once;
      const Eigen::Index n = std::min(at_once, weights.cols() - first);
      of_unit_.middleCols(first, n).noalias() = by_unit * weights.middleCols(first, n);
      sums_.segment(first, n) =
          of_unit_.middleCols(first, n).cwiseProduct(weights.middleCols(first, n)).colwise().sum();
    });
  }

  double all(Eigen::Index weighting) const { return sums_(weighting); }
  // Both orders of a pair count.
  double without_copy(Eigen::Index weighting, Eigen::Index unit) const {
    return sums_(weighting) - 2 * of_unit_(unit, weighting);
  }

 private:
  Eigen::RowVectorXd sums_;
  Eigen::MatrixXd of_unit_;  // [units, weightings]
};

// Sources whose similarities are correlated, and the correlations wanted.
enum HalfOrAll { a_all, b_all, a_one, a_two, b_one, b_two, n_sources };
constexpr std::array<std::array<HalfOrAll, 2>, 5> wanted = {
    {{a_all, b_all}, {a_one, b_two}, {a_two, b_one}, {a_one, a_two}, {b_one, b_two}}};
enum Quantity { q_same, q_cross, q_first, q_second, q_corrected, n_quantities };
using Quantities = std::array<double, n_quantities>;

double fisher(double r) { return std::atanh(r); }

class RsaResampling {
 public:
  // Those of the sources that are there; the others are empty.
  RsaResampling(const std::array<Matrix, n_sources>& blocks, const Units& units,
                std::size_t n_categories, const RsaOptions& options)
      : strata_(strata_of(units, n_categories)), n_units_(units.size()) {
    const auto n = static_cast<double>(units.of_prompt.size());
    const int n_resamples = affordable_draws(options.n_resamples, 1e9, n * n, 199);
    weights_.resize(static_cast<Eigen::Index>(n_units_), n_resamples + 1);
    weights_.col(0).setOnes();
    weights_.rightCols(n_resamples) =
        drawn_weights(strata_, n_units_, options.seed, 0, n_resamples);
    const auto sums_of = [&](const Matrix& values) {
      throw_if_stopped(options.work.stop);
      return WeightedPairSums(values, units, weights_, options.n_threads);
    };
    std::array<Matrix, n_sources> centred;
    for (std::size_t s = 0; s < n_sources; ++s) {
      if (blocks[s].size() == 0) continue;
      centred[s] = standardised_pairs(blocks[s], units);
      if (centred[s].hasNaN()) return;
      sums_[s] = sums_of(centred[s]);
      squares_[s] = sums_of(centred[s].cwiseProduct(centred[s]));
    }
    Matrix ones = Matrix::Ones(static_cast<Eigen::Index>(units.of_prompt.size()),
                               static_cast<Eigen::Index>(units.of_prompt.size()));
    for (Eigen::Index i = 0; i < ones.rows(); ++i) {
      for (Eigen::Index j = 0; j < ones.cols(); ++j) {
        if (units.of_prompt[static_cast<std::size_t>(i)] ==
            units.of_prompt[static_cast<std::size_t>(j)]) {
          ones(i, j) = 0;
        }
      }
    }
    numbers_ = sums_of(ones);
    for (std::size_t w = 0; w < wanted.size(); ++w) {
      const auto& [a, b] = wanted[w];
      if (sums_[a] && sums_[b]) products_[w] = sums_of(centred[a].cwiseProduct(centred[b]));
    }
  }

  // The estimate and its interval.
  IntervalEstimate estimate(Quantity quantity) const {
    IntervalEstimate result;
    std::vector<Studentised> all;
    for (Eigen::Index r = 0; r < weights_.cols(); ++r) all.push_back(studentised(quantity, r));
    result.estimate = all.front().value;
    if (std::isnan(result.estimate)) {
      result.reason = "the estimate is undefined";
      return result;
    }
    if (std::isinf(result.estimate)) {  // r = 1
      result.estimate = 1;
      result.reason = "similarities are the same";
      return result;
    }
    add_studentised_interval(all.front(), std::span(all).subspan(1), result);
    if (quantity == q_corrected) return result;
    for (double* value : {&result.estimate, &result.low, &result.high}) *value = std::tanh(*value);
    if (result.has_interval()) result.method += " on Fisher's z";
    return result;
  }

 private:
  template <typename Value>
  double correlation_of(std::size_t which, const Value& value) const {
    if (!products_[which]) return undefined;
    const auto& [a, b] = wanted[which];
    const double n = value(*numbers_);
    const double x = value(*sums_[a]) / n;
    const double y = value(*sums_[b]) / n;
    const double xx = value(*squares_[a]) / n - x * x;
    const double yy = value(*squares_[b]) / n - y * y;
    const double r = (value(*products_[which]) / n - x * y) / std::sqrt(xx * yy);
    constexpr double rounding = 1e-12;
    return r > 1 - rounding ? 1 : r;
  }

  template <typename Value>
  double quantity_of(Quantity quantity, const Value& value) const {
    if (quantity == q_same) return fisher(correlation_of(0, value));
    if (quantity == q_first) return fisher(correlation_of(3, value));
    if (quantity == q_second) return fisher(correlation_of(4, value));
    const double cross = (correlation_of(1, value) + correlation_of(2, value)) / 2;
    if (quantity == q_cross) return fisher(cross);
    return cross / std::sqrt(correlation_of(3, value) * correlation_of(4, value));
  }

  Studentised studentised(Quantity quantity, Eigen::Index r) const {
    Studentised result;
    result.value = quantity_of(quantity, [&](const WeightedPairSums& sums) { return sums.all(r); });
    JackknifeVariance variance;
    for (const auto& stratum : strata_) {
      for (const std::size_t unit : stratum) {
        const auto u = static_cast<Eigen::Index>(unit);
        if (weights_(u, r) == 0) continue;
        const double without = quantity_of(
            quantity, [&](const WeightedPairSums& sums) { return sums.without_copy(r, u); });
        variance.add(weights_(u, r), without - result.value);
      }
      variance.end_stratum(stratum.size());
    }
    result.standard_error = variance.standard_error();
    return result;
  }

  std::vector<std::vector<std::size_t>> strata_;
  std::size_t n_units_;
  Eigen::MatrixXd weights_;  // [units, 1 + resamples], the first as the data are
  std::optional<WeightedPairSums> numbers_;
  std::array<std::optional<WeightedPairSums>, n_sources> sums_;
  std::array<std::optional<WeightedPairSums>, n_sources> squares_;
  std::array<std::optional<WeightedPairSums>, wanted.size()> products_;
};

void withhold_interval(const RsaOptions& options, const Units& units, IntervalEstimate& estimate) {
  if (units.size() >= options.min_units || !estimate.has_interval()) return;
  estimate.low = estimate.high = undefined;
  estimate.reason = fewer_than(options.min_units, units);
}

void add_half_estimates(const PairedPrompts& pair, const RsaOptions& options, RsaResult& result) {
  result.block = std::max(forgetting_lag(pair.first_tokens), forgetting_lag(pair.second_tokens));
  const std::vector<std::size_t> rows = rows_with_halves(pair, result.block);
  result.n_without_halves = pair.size() - rows.size();
  const std::string too_few = "too few prompts have tokens for two halves";
  if (rows.size() < 3) {
    for (IntervalEstimate* one :
         {&result.cross_half, &result.reliability[0], &result.reliability[1], &result.corrected}) {
      one->reason = too_few;
    }
    return;
  }
  const PairedPrompts kept = rows_of(pair, rows);
  TokenHalves first = token_halves(kept.first_tokens, result.block);
  TokenHalves second = token_halves(kept.second_tokens, result.block);
  std::array<Matrix, n_sources> blocks;
  blocks[a_one] = std::move(first.first);
  blocks[a_two] = std::move(first.second);
  blocks[b_one] = std::move(second.first);
  blocks[b_two] = std::move(second.second);
  const RsaResampling resampling(blocks, kept.units, kept.categories.names.size(), options);
  result.cross_half = resampling.estimate(q_cross);
  result.reliability = {resampling.estimate(q_first), resampling.estimate(q_second)};
  const bool reliable = std::all_of(
      result.reliability.begin(), result.reliability.end(), [](const IntervalEstimate& rho) {
        return rho.estimate >= min_reliability &&
               (!rho.has_interval() ? rho.estimate > 1 - 1e-9 : rho.low > 0);
      });
  for (IntervalEstimate* one :
       {&result.cross_half, &result.reliability[0], &result.reliability[1]}) {
    withhold_interval(options, kept.units, *one);
  }
  if (!reliable) {
    result.corrected.reason = "too few tokens: half of them do not tell enough of a routing";
    return;
  }
  result.corrected = resampling.estimate(q_corrected);
  withhold_interval(options, kept.units, result.corrected);
}

}  // namespace

RsaResult rsa(const PairedPrompts& pair, const TestedPair& tested, const RsaOptions& options) {
  RsaResult result;
  if (pair.size() < 3) {
    result.same_tokens.reason = result.not_tested = result.not_tested_within =
        "fewer than three prompts";
    result.cross_half.reason = result.corrected.reason = result.same_tokens.reason;
    for (IntervalEstimate& rho : result.reliability) rho.reason = result.same_tokens.reason;
    return result;
  }
  std::array<Matrix, n_sources> blocks;
  blocks[a_all] = unit_blocks(pair.first);
  blocks[b_all] = unit_blocks(pair.second);
  result.same_tokens =
      RsaResampling(blocks, pair.units, pair.categories.names.size(), options).estimate(q_same);
  withhold_interval(options, pair.units, result.same_tokens);
  if (pair.same_tokens) {
    add_half_estimates(pair, options, result);
  } else {
    const std::string reason = pair.has_tokens() ? "the tokens of both are not the same"
                                                 : "there are counts, not single tokens";
    for (IntervalEstimate* one :
         {&result.cross_half, &result.reliability[0], &result.reliability[1], &result.corrected}) {
      one->reason = reason;
    }
  }
  add_mantel_tests(tested, options, result.block, result);
  return result;
}

double rsa_correlation(const Matrix& first, const Matrix& second, const Units& units) {
  return correlation(standardised_pairs(first, units), standardised_pairs(second, units));
}

}  // namespace moexray::stats
