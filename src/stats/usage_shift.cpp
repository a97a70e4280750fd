#include "moexray/stats/usage_shift.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>

#include "exchange.h"
#include "max_t.h"
#include "moexray/stats/paired.h"
#include "moexray/stats/rates.h"
#include "moexray/stats/units.h"
#include "paired_usage.h"
#include "parallel.h"

namespace moexray::stats {
namespace {

// Sign flips that are one step of work.
constexpr int flips_of_step = 32;
// Columns that are looked at together, so that they stay in the cache.
constexpr Eigen::Index columns_of_panel = 256;

// What units add up to: the changes of counts, and tokens.
struct UnitChanges {
  Matrix changes;  // [U, L·E] Σ (second − first)
  Vector tokens;   // [U]
};

UnitChanges unit_changes(const PairedUsage& usage, const Units& units) {
  const auto n = static_cast<Eigen::Index>(units.size());
  UnitChanges result{Matrix::Zero(n, usage.first.cols()), Vector::Zero(n)};
  for (Eigen::Index u = 0; u < n; ++u) {
    for (const std::size_t i : units.members[static_cast<std::size_t>(u)]) {
      const auto row = static_cast<Eigen::Index>(i);
      result.changes.row(u) +=
          usage.second.row(row).cast<double>() - usage.first.row(row).cast<double>();
      result.tokens(u) += static_cast<double>(usage.n_tokens[i]);
    }
  }
  return result;
}

// t of ratios Σ ±D / Σ T for signs of the units: n / (n − 1) · (Σ D² − 2 r Σ ±D T + r² Σ T²) is the
// variance of the numerator.
class FlippedRatios {
 public:
  explicit FlippedRatios(const UnitChanges& units)
      : units_(units),
        squares_(units.changes.colwise().squaredNorm()),
        tokens_(units.tokens.sum()),
        token_squares_(units.tokens.squaredNorm()) {}

  Eigen::Index n_columns() const { return units_.changes.cols(); }

  // [flips, width] of some columns; undefined where no unit changes.
  Matrix t_values(const Matrix& signs, Eigen::Index first, Eigen::Index width) const {
    const auto changes = units_.changes.middleCols(first, width);
    const Matrix weighted = signs * units_.tokens.asDiagonal();
    const Matrix sums = signs * changes;
    const Matrix products = weighted * changes;
    const auto n = static_cast<double>(units_.tokens.size());
    Matrix t(signs.rows(), width);
    for (Eigen::Index r = 0; r < t.rows(); ++r) {
      for (Eigen::Index c = 0; c < width; ++c) {
        t(r, c) = t_value(sums(r, c), products(r, c), squares_(first + c), n);
      }
    }
    return t;
  }

 private:
  double t_value(double sum, double product, double square, double n) const {
    if (!(square > 0) || n < 2) return undefined;
    if (sum == 0) return 0;
    const double ratio = sum / tokens_;
    double residual = square - 2 * ratio * product + ratio * ratio * token_squares_;
    if (residual < 1e-13 * square) residual = 0;  // rounding
    return sum / std::sqrt(n / (n - 1) * residual);
  }

  const UnitChanges& units_;
  Eigen::RowVectorXd squares_;
  double tokens_;
  double token_squares_;
};

bool is_exact(std::size_t n_units) { return n_units <= max_exact_units; }

// As many draws as 2·10⁹ products allow, from 199 to 9,999.
int default_draws(std::size_t n_units, const RoutingShape& shape) {
  const double n_columns = static_cast<double>(shape.n_layers) * shape.n_experts;
  const double n = 2e9 / (2 * n_columns * static_cast<double>(n_units));
  return static_cast<int>(std::clamp(n, 199.0, 9999.0));
}

int n_flips(std::size_t n_units, const RoutingShape& shape, const UsageShiftOptions& options) {
  if (is_exact(n_units)) return 1 << n_units;
  return options.n_permutations > 0 ? options.n_permutations : default_draws(n_units, shape);
}

MaxTNull flipped(const FlippedRatios& ratios, std::size_t n_units, int n_draws,
                 const UsageShiftOptions& options) {
  MaxTNull null{.largest = std::vector<double>(static_cast<std::size_t>(n_draws)),
                .exact = is_exact(n_units)};
  std::mutex mutex;
  const int n_steps = (n_draws + flips_of_step - 1) / flips_of_step;
  parallel_for(n_steps, options.n_threads, [&](int step) {
    throw_if_stopped(options.work.stop);
    const int begin = step * flips_of_step;
    const int end = std::min(n_draws, begin + flips_of_step);
    Matrix signs(end - begin, static_cast<Eigen::Index>(n_units));
    for (int r = begin; r < end; ++r) {
      const std::vector<char> exchanged = exchange(n_units, null.exact, options.seed, r);
      for (std::size_t u = 0; u < n_units; ++u) {
        signs(r - begin, static_cast<Eigen::Index>(u)) = exchanged[u] != 0 ? -1 : 1;
      }
    }
    PooledHistogram pooled;
    for (Eigen::Index first = 0; first < ratios.n_columns(); first += columns_of_panel) {
      const Eigen::Index width = std::min(columns_of_panel, ratios.n_columns() - first);
      const Matrix t = ratios.t_values(signs, first, width);
      for (Eigen::Index r = 0; r < t.rows(); ++r) {
        double& largest = null.largest[static_cast<std::size_t>(begin + r)];
        for (Eigen::Index c = 0; c < width; ++c) {
          if (std::isnan(t(r, c))) continue;
          largest = std::max(largest, std::abs(t(r, c)));
          pooled.add(t(r, c));
        }
      }
    }
    {
      // Sums of integers: in whatever order, the same.
      const std::lock_guard lock(mutex);
      null.pooled.add(pooled);
    }
    if (options.work.on_steps) options.work.on_steps(1);
  });
  return null;
}

void fill_in_experts(const PairedUsage& usage, const UnitChanges& units,
                     const UsageShiftOptions& options, UsageShift& result) {
  const double tokens = units.tokens.sum();
  const Eigen::RowVectorXd first = usage.first.cast<double>().colwise().sum() / tokens;
  const Eigen::RowVectorXd second = usage.second.cast<double>().colwise().sum() / tokens;
  const std::size_t n_units = result.n_units;
  const double quantile =
      n_units < 2 ? undefined : student_t_quantile(0.975, static_cast<double>(n_units - 1));
  for (Eigen::Index column = 0; column < units.changes.cols(); ++column) {
    ExpertShift shift;
    shift.layer = static_cast<int>(column / usage.shape.n_experts);
    shift.expert = static_cast<int>(column % usage.shape.n_experts);
    shift.first = first(column);
    shift.second = second(column);
    RateSums sums;
    for (Eigen::Index u = 0; u < units.tokens.size(); ++u) {
      sums.add({units.changes(u, column), units.tokens(u)});
    }
    const ClusteredRate rate = clustered_rate(sums);
    shift.difference = rate.estimate;
    if (n_units >= options.min_units && rate.variance > 0) {
      const double half = quantile * std::sqrt(rate.variance);
      shift.ci95 = {rate.estimate - half, rate.estimate + half};
    }
    result.experts.push_back(shift);
  }
}

void test_experts(const UnitChanges& units, const UsageShiftOptions& options, UsageShift& result) {
  const FlippedRatios ratios(units);
  const std::size_t n_units = result.n_units;
  result.exact = is_exact(n_units);
  result.n_draws = n_flips(n_units, result.shape, options);
  // Flipping all signs changes no |t|.
  result.smallest_p_adjusted = std::max(std::pow(2.0, 1 - static_cast<double>(n_units)),
                                        1 / static_cast<double>(result.n_draws + 1));
  const Matrix observed =
      ratios.t_values(Matrix::Ones(1, units.tokens.size()), 0, ratios.n_columns());
  const std::span<const double> t(observed.data(), static_cast<std::size_t>(observed.size()));
  const MaxTValues values = max_t(t, flipped(ratios, n_units, result.n_draws, options));
  for (std::size_t i = 0; i < result.experts.size(); ++i) {
    ExpertShift& shift = result.experts[i];
    shift.t = t[i];
    shift.p_value = values.p_value[i];
    shift.p_adjusted = values.p_adjusted[i];
    shift.q_value = values.q_value[i];
    shift.significant = shift.p_adjusted <= options.level;
    result.n_significant += shift.significant ? 1 : 0;
    result.n_listed += shift.q_value <= options.level ? 1 : 0;
  }
}

// Entropies of one layer's load over some prompts.
EntropyShift entropy_shift(const PairedUsage& usage, const Units& units, int layer,
                           const std::vector<char>& is_in, std::size_t min_units) {
  const auto begin = static_cast<Eigen::Index>(layer) * usage.shape.n_experts;
  const Eigen::Index n_experts = usage.shape.n_experts;
  const double k = usage.shape.top_k;
  Eigen::RowVectorXd load_first = Eigen::RowVectorXd::Zero(n_experts);
  Eigen::RowVectorXd load_second = load_first;
  double tokens = 0;
  for (std::size_t i = 0; i < is_in.size(); ++i) {
    if (is_in[i] == 0) continue;
    const auto row = static_cast<Eigen::Index>(i);
    load_first += usage.first.row(row).segment(begin, n_experts).cast<double>();
    load_second += usage.second.row(row).segment(begin, n_experts).cast<double>();
    tokens += static_cast<double>(usage.n_tokens[i]);
  }
  EntropyShift result{.layer = layer};
  if (!(tokens > 0)) return result;
  const auto to_bits = [&](Eigen::RowVectorXd& load) {
    load /= tokens * k;
    double entropy = 0;
    for (double& p : load) {
      const double bits = p > 0 ? -std::log2(p) : 0;
      entropy += p * bits;
      p = bits;
    }
    return entropy;
  };
  result.first = to_bits(load_first);
  result.second = to_bits(load_second);
  RateSums sums;
  for (const std::vector<std::size_t>& members : units.members) {
    UnitCount unit;
    for (const std::size_t i : members) {
      if (is_in[i] == 0) continue;
      const auto row = static_cast<Eigen::Index>(i);
      const auto first = usage.first.row(row).segment(begin, n_experts).cast<double>();
      const auto second = usage.second.row(row).segment(begin, n_experts).cast<double>();
      unit.count += (second.dot(load_second) - first.dot(load_first)) / k;
      unit.tokens += static_cast<double>(usage.n_tokens[i]);
    }
    sums.add(unit);
  }
  const ClusteredRate rate = clustered_rate(sums);
  result.difference.estimate = result.second - result.first;
  if (static_cast<std::size_t>(rate.n_units) >= min_units && rate.variance > 0) {
    const double half =
        student_t_quantile(0.975, static_cast<double>(rate.n_units - 1)) * std::sqrt(rate.variance);
    result.difference.ci95 = {result.difference.estimate - half, result.difference.estimate + half};
  }
  return result;
}

void fill_in_entropies(const PairedUsage& usage, const Units& units,
                       const UsageShiftOptions& options, UsageShift& result) {
  std::vector<std::vector<char>> parts = {std::vector<char>(usage.ids.size(), 1)};
  if (all_have_categories(usage)) {
    const CategoryIndex categories = categories_of(usage);
    if (categories.names.size() > 1) result.categories = categories.names;
    for (std::size_t c = 0; c < result.categories.size(); ++c) {
      parts.emplace_back();
      for (const int own : categories.of_prompt) {
        parts.back().push_back(own == static_cast<int>(c) ? 1 : 0);
      }
    }
  }
  for (int layer = 0; layer < usage.shape.n_layers; ++layer) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      result.entropies.push_back(entropy_shift(usage, units, layer, parts[i], options.min_units));
      result.entropies.back().category = static_cast<int>(i) - 1;
    }
  }
}

void test_categories(const PairedUsage& usage, const UsageShiftOptions& options,
                     UsageShift& result) {
  result.check = usage.check;
  result.positions = usage.positions;
  if (!result.check.comparable()) return;
  PairedUsage kept;
  for (const std::size_t i : usage.positions.rows) {
    kept.ids.push_back(usage.ids[i]);
    kept.categories.push_back(usage.categories[i]);
    if (!usage.groups.empty()) kept.groups.push_back(usage.groups[i]);
  }
  const CategoryIndex categories = categories_of(kept);
  const Units units = make_units(kept.ids, categories, kept.groups);
  if (smallest_p_value(units, categories) > 0.999) {
    result.check = {Comparability::no_relabelling,
                    "exchanging the categories of whole groups changes nothing", 0};
    return;
  }
  // Relabelling is the slower of the two.
  const int n_permutations = options.n_permutations > 0
                                 ? options.n_permutations
                                 : (default_draws(units.size(), usage.shape) + 1) / 2;
  const PseudoF test =
      test_pseudo_f(usage.common, categories, units,
                    {n_permutations, options.seed, options.n_threads, options.work.stop});
  result.by_category = test.f;
  result.r_squared = test.r_squared;
}

}  // namespace

UsageShift usage_shift(const PairedUsage& usage, const UsageShiftOptions& options) {
  UsageShift result;
  result.shape = usage.shape;
  const Units units = units_without_categories(usage.ids, usage.groups);
  const UnitChanges changes = unit_changes(usage, units);
  result.n_units = units.size();
  result.n_tokens = changes.tokens.sum();
  fill_in_experts(usage, changes, options, result);
  if (result.n_units > 1) test_experts(changes, options, result);
  fill_in_entropies(usage, units, options, result);
  test_categories(usage, options, result);
  return result;
}

std::int64_t usage_shift_steps(const PairedUsage& usage, const UsageShiftOptions& options) {
  const std::size_t n_units = units_without_categories(usage.ids, usage.groups).size();
  if (n_units < 2) return 0;
  return (n_flips(n_units, usage.shape, options) + flips_of_step - 1) / flips_of_step;
}

}  // namespace moexray::stats
