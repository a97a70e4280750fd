#include "moexray/stats/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "moexray/core/random.h"
#include "moexray/stats/similarity.h"
#include "pair_auc.h"
#include "pair_means.h"
#include "parallel.h"
#include "unit_pairs.h"

namespace moexray::stats {
namespace {

enum Statistic {
  within,
  across,
  gap,
  cohens,
  balanced_within,
  balanced_across,
  balanced_gap,
  auc,  // its logit
  n_statistics
};
using Values = std::array<double, n_statistics>;

// Means over categories, and over pairs of categories, of the cells' means.
struct BalancedSums {
  double within = 0;
  double across = 0;
  double n_within = 0;
  double n_across = 0;

  void add(const PairMoments& cell, bool diagonal, double sign) {
    if (cell.n <= 0) return;
    (diagonal ? within : across) += sign * cell.sum / cell.n;
    (diagonal ? n_within : n_across) += sign;
  }
};

double mean_of(const PairMoments& moments) {
  return moments.n > 0 ? moments.sum / moments.n : undefined;
}

PairStatistics statistics_of(const PairMoments& moments) {
  PairStatistics result;
  result.n_pairs = static_cast<std::int64_t>(moments.n);
  result.mean = mean_of(moments);
  if (moments.n < 2) return result;
  const double variance =
      (moments.squares - moments.sum * (moments.sum / moments.n)) / (moments.n - 1);
  result.std = std::sqrt(std::max(variance, 0.0));
  return result;
}

Values values_of(const PairMoments& w, const PairMoments& a, const BalancedSums& balanced,
                 double logit) {
  Values values;
  values[within] = mean_of(w);
  values[across] = mean_of(a);
  values[gap] = values[within] - values[across];
  values[cohens] = stats::cohens_d(statistics_of(w), statistics_of(a));
  values[balanced_within] =
      balanced.n_within > 0.5 ? balanced.within / balanced.n_within : undefined;
  values[balanced_across] =
      balanced.n_across > 0.5 ? balanced.across / balanced.n_across : undefined;
  values[balanced_gap] = values[balanced_within] - values[balanced_across];
  values[auc] = logit;
  return values;
}

double logit_of(double concordant, double n_pairs_of_pairs) {
  return n_pairs_of_pairs > 0 ? std::log(concordant / (n_pairs_of_pairs - concordant)) : undefined;
}

// Groups of units that are drawn among themselves: those of each category, and those of several.
std::vector<std::vector<std::size_t>> strata_of(const Units& units, std::size_t n_categories) {
  std::vector<std::vector<std::size_t>> strata(n_categories + 1);
  for (std::size_t u = 0; u < units.size(); ++u) {
    const int c = units.category[u];
    strata[c < 0 ? n_categories : static_cast<std::size_t>(c)].push_back(u);
  }
  std::erase_if(strata, [](const auto& stratum) { return stratum.empty(); });
  return strata;
}

struct Evaluation {
  Values values;
  Values standard_errors;
};

class Resampling {
 public:
  Resampling(const Matrix& similarity, const CategoryIndex& categories, const Units& units,
             const BootstrapOptions& options)
      : pairs_(similarity, categories, units),
        auc_(similarity, categories, units),
        strata_(strata_of(units, categories.names.size())),
        options_(options) {}

  const std::vector<std::vector<std::size_t>>& strata() const { return strata_; }
  double shift() const { return pairs_.shift(); }

  Evaluation observed() const {
    const Eigen::MatrixXd ones =
        Eigen::MatrixXd::Ones(static_cast<Eigen::Index>(pairs_.n_units()), 1);
    return evaluate(ones)[0];
  }

  std::vector<Evaluation> resamples() const {
    const int n_batches =
        (options_.n_resamples + static_cast<int>(n_lanes) - 1) / static_cast<int>(n_lanes);
    // Some sweeps share one matrix product.
    constexpr int batches_at_once = 4;
    std::vector<Evaluation> all(static_cast<std::size_t>(options_.n_resamples));
    parallel_for((n_batches + batches_at_once - 1) / batches_at_once, options_.n_threads,
                 [&](int i) {
                   throw_if_stopped(options_.stop);
                   const int n_at_once = batches_at_once * static_cast<int>(n_lanes);
                   const int first = i * n_at_once;
                   const int n = std::min(n_at_once, options_.n_resamples - first);
                   const auto some = evaluate(drawn_weights(first, n));
                   std::copy(some.begin(), some.end(), all.begin() + first);
                 });
    return all;
  }

 private:
  static constexpr std::size_t n_lanes = PairAuc::n_lanes;

  Eigen::MatrixXd drawn_weights(int first, int n) const {
    Eigen::MatrixXd weights = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(pairs_.n_units()), n);
    for (int r = 0; r < n; ++r) {
      RandomStream random(options_.seed, "bootstrap " + std::to_string(first + r));
      for (const auto& stratum : strata_) {
        for (std::size_t draw = 0; draw < stratum.size(); ++draw) {
          weights(static_cast<Eigen::Index>(stratum[random.below(stratum.size())]), r) += 1;
        }
      }
    }
    return weights;
  }

  std::vector<Evaluation> evaluate(const Eigen::MatrixXd& weights) const {
    const UnitPairs::Weighted weighted(pairs_, weights);
    std::vector<Evaluation> result;
    for (Eigen::Index first = 0; first < weights.cols();
         first += static_cast<Eigen::Index>(n_lanes)) {
      const auto n =
          std::min<Eigen::Index>(static_cast<Eigen::Index>(n_lanes), weights.cols() - first);
      std::vector<PairAuc::Lanes> lanes(pairs_.n_units());
      for (std::size_t u = 0; u < lanes.size(); ++u) {
        for (Eigen::Index i = 0; i < n; ++i) {
          lanes[u][static_cast<std::size_t>(i)] = weights(static_cast<Eigen::Index>(u), first + i);
        }
      }
      const PairAuc::Sweep sweep = auc_.sweep(lanes);
      for (Eigen::Index i = 0; i < n; ++i) {
        result.push_back(
            evaluate_one(weighted, weights, first + i, sweep, static_cast<std::size_t>(i)));
      }
    }
    return result;
  }

  Evaluation evaluate_one(const UnitPairs::Weighted& weighted, const Eigen::MatrixXd& weights,
                          Eigen::Index column, const PairAuc::Sweep& sweep,
                          std::size_t lane) const {
    const auto k = static_cast<std::size_t>(pairs_.n_categories());
    const PairTotals totals = weighted.totals(column);
    BalancedSums balanced;
    for (std::size_t c = 0; c < totals.cells.size(); ++c) {
      balanced.add(totals.cells[c], c / k == c % k, 1);
    }
    Evaluation result;
    result.values =
        values_of(totals.within, totals.across, balanced,
                  logit_of(sweep.concordant[lane], sweep.n_within[lane] * sweep.n_across[lane]));
    Values variance{};
    PairTotals copy;
    copy.cells.resize(totals.cells.size());
    std::vector<std::size_t> touched;
    for (const auto& stratum : strata_) {
      Values sums{};
      Values squares{};
      for (const std::size_t u : stratum) {
        const double weight = weights(static_cast<Eigen::Index>(u), column);
        if (weight == 0) continue;
        copy.within = copy.across = {};
        weighted.one_copy(column, u, copy, touched);
        PairMoments w = totals.within;
        PairMoments a = totals.across;
        w -= copy.within;
        a -= copy.across;
        BalancedSums without = balanced;
        for (const std::size_t c : touched) {
          PairMoments rest = totals.cells[c];
          rest -= copy.cells[c];
          without.add(totals.cells[c], c / k == c % k, -1);
          without.add(rest, c / k == c % k, 1);
          copy.cells[c] = {};
        }
        touched.clear();
        const double logit = logit_of(sweep.concordant[lane] - sweep.lost[u][lane], w.n * a.n);
        const Values values = values_of(w, a, without, logit);
        for (std::size_t s = 0; s < n_statistics; ++s) {
          // Measured from the resample's own value, so that no digits are lost.
          const double change = values[s] - result.values[s];
          sums[s] += weight * change;
          squares[s] += weight * change * change;
        }
      }
      const auto n = static_cast<double>(stratum.size());
      for (std::size_t s = 0; s < n_statistics; ++s) {
        variance[s] += (n - 1) / n * std::max(squares[s] - sums[s] * sums[s] / n, 0.0);
      }
    }
    for (std::size_t s = 0; s < n_statistics; ++s)
      result.standard_errors[s] = std::sqrt(variance[s]);
    return result;
  }

  UnitPairs pairs_;
  PairAuc auc_;
  std::vector<std::vector<std::size_t>> strata_;
  const BootstrapOptions& options_;
};

// The p-quantile of sorted values at position (n + 1)p, between neighbours by proportion.
double quantile(const std::vector<double>& sorted, double p) {
  const double position = p * (static_cast<double>(sorted.size()) + 1) - 1;
  if (position <= 0) return sorted.front();
  const auto below = static_cast<std::size_t>(position);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double share = position - static_cast<double>(below);
  return (1 - share) * sorted[below] + share * sorted[below + 1];
}

// Fills the interval on the statistic's own scale.
void add_interval(const Evaluation& observed, const std::vector<Evaluation>& resamples,
                  Statistic statistic, IntervalEstimate& result) {
  const double theta = observed.values[statistic];
  const double error = observed.standard_errors[statistic];
  result.standard_error = error;
  // Similarities carry rounding errors of about 1e-15.
  if (!std::isfinite(error) || error < 1e-12) {
    result.reason = std::isfinite(error) ? "no spread among units"
                                         : "undefined without one of the units: too few";
    return;
  }
  std::vector<double> t;
  for (const Evaluation& resample : resamples) {
    const double value = (resample.values[statistic] - theta) / resample.standard_errors[statistic];
    if (std::isfinite(value)) t.push_back(value);
  }
  constexpr double min_share = 0.95;
  if (static_cast<double>(t.size()) < min_share * static_cast<double>(resamples.size()) ||
      t.empty()) {
    result.reason = "undefined in too many resamples: too few units";
    return;
  }
  std::sort(t.begin(), t.end());
  result.low = theta - quantile(t, 0.975) * error;
  result.high = theta - quantile(t, 0.025) * error;
  result.method = "studentised bootstrap";
}

double inverse_logit(double x) { return 1 / (1 + std::exp(-x)); }

// Why no interval of this kind can be had at all; empty if it can.
std::string obstacle(const Units& units, const CategoryIndex& categories, bool needs_categories) {
  if (needs_categories && categories.names.size() < 2) return "only one category";
  std::vector<std::int64_t> n_units(categories.names.size() + 1);
  for (const int c : units.category) {
    ++n_units[c < 0 ? categories.names.size() : static_cast<std::size_t>(c)];
  }
  std::string singles = sizes_text(categories, n_units, 1, 1, units.grouped ? "unit" : "prompt");
  if (!singles.empty()) return singles;
  return n_units.back() == 1 ? "only one unit holds several categories" : "";
}

// From the statistic's inner scale to the one it is reported in.
void to_reported_scale(Statistic statistic, double shift, IntervalEstimate& result) {
  if (statistic == auc) {
    for (double* value : {&result.estimate, &result.low, &result.high})
      *value = inverse_logit(*value);
    if (result.has_interval()) result.method += " on the logit scale";
  } else if (statistic == within || statistic == across || statistic == balanced_within ||
             statistic == balanced_across) {
    for (double* value : {&result.estimate, &result.low, &result.high}) *value += shift;
  }
}

}  // namespace

BootstrapResult bootstrap(const Matrix& similarity, const CategoryIndex& categories,
                          const Units& units, const BootstrapOptions& options) {
  BootstrapResult result;
  result.n_resamples = options.n_resamples;
  const Resampling resampling(similarity, categories, units, options);
  const Evaluation observed = resampling.observed();
  const std::array<std::pair<Statistic, IntervalEstimate*>, n_statistics> targets{
      {{within, &result.within},
       {across, &result.across},
       {gap, &result.gap},
       {cohens, &result.cohens_d},
       {balanced_within, &result.balanced_within},
       {balanced_across, &result.balanced_across},
       {balanced_gap, &result.balanced_gap},
       {auc, &result.auc}}};
  std::optional<std::vector<Evaluation>> resamples;
  for (const auto& [statistic, target] : targets) {
    target->estimate = observed.values[statistic];
    target->reason =
        obstacle(units, categories, statistic != within && statistic != balanced_within);
    if (std::isnan(target->estimate) && target->reason.empty()) {
      target->reason = "the estimate is undefined";
    } else if (std::isinf(target->estimate)) {
      target->reason = "within and across pairs do not overlap";
    }
    if (target->reason.empty()) {
      if (!resamples) resamples = resampling.resamples();
      add_interval(observed, *resamples, statistic, *target);
    }
    to_reported_scale(statistic, resampling.shift(), *target);
  }
  constexpr double max_calibrated_auc = 0.97;
  result.auc_calibrated = !(result.auc.estimate > max_calibrated_auc);
  return result;
}

}  // namespace moexray::stats
