#include "moexray/stats/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "moexray/stats/similarity.h"
#include "pair_auc.h"
#include "pair_means.h"
#include "parallel.h"
#include "studentised.h"
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
  r_squared,
  auc,
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

// Σ_c (n_c − 1)·(mean within c), for the variance within categories.
struct VarianceSums {
  double within = 0;
  double weight = 0;

  void add(const PairMoments& cell, double n_prompts, double sign) {
    if (cell.n <= 0) return;
    within += sign * (n_prompts - 1) * cell.sum / cell.n;
    weight += sign * (n_prompts - 1);
  }
};

// One similarity matrix of the prompts.
struct Source {
  UnitPairs pairs;
  PairAuc auc;
  double sign = 1;  // of its statistics in the sum over sources
};

// What all sources have in common.
struct Frame {
  std::vector<double> n_prompts;  // [K]
  double within_share = 0;        // of the pairs
  bool logit = true;              // the AUC's scale

  double auc_of(double concordant, double n_pairs_of_pairs) const {
    if (!(n_pairs_of_pairs > 0)) return undefined;
    return logit ? std::log(concordant / (n_pairs_of_pairs - concordant))
                 : concordant / n_pairs_of_pairs;
  }
};

// The statistics of one source under one weighting, and what they are without a copy of a unit.
class WeightedSource {
 public:
  WeightedSource(const Source& source, const Frame& frame, const UnitPairs::Weighted& weighted,
                 Eigen::Index column, const PairAuc::Sweep& sweep, std::size_t lane)
      : frame_(frame),
        weighted_(weighted),
        column_(column),
        sweep_(sweep),
        lane_(lane),
        shift_(source.pairs.shift()),
        k_(frame.n_prompts.size()),
        totals_(weighted.totals(column)) {
    for (std::size_t c = 0; c < totals_.cells.size(); ++c) change(c, totals_.cells[c], 1);
    values_ = values_of(
        totals_.within, totals_.across, balanced_, variance_,
        frame.auc_of(sweep.concordant[lane], sweep.n_within[lane] * sweep.n_across[lane]));
    copy_.cells.resize(totals_.cells.size());
  }

  const Values& values() const { return values_; }

  Values without_copy(std::size_t unit) {
    copy_.within = copy_.across = {};
    weighted_.one_copy(column_, unit, copy_, touched_);
    PairMoments w = totals_.within;
    PairMoments a = totals_.across;
    w -= copy_.within;
    a -= copy_.across;
    const BalancedSums balanced = balanced_;
    const VarianceSums variance = variance_;
    for (const std::size_t c : touched_) {
      PairMoments rest = totals_.cells[c];
      rest -= copy_.cells[c];
      change(c, totals_.cells[c], -1);
      change(c, rest, 1);
      copy_.cells[c] = {};
    }
    touched_.clear();
    const double area =
        frame_.auc_of(sweep_.concordant[lane_] - sweep_.lost[unit][lane_], w.n * a.n);
    const Values result = values_of(w, a, balanced_, variance_, area);
    balanced_ = balanced;
    variance_ = variance;
    return result;
  }

 private:
  void change(std::size_t c, const PairMoments& cell, double sign) {
    const bool diagonal = c / k_ == c % k_;
    balanced_.add(cell, diagonal, sign);
    if (diagonal) variance_.add(cell, frame_.n_prompts[c % k_], sign);
  }

  Values values_of(const PairMoments& w, const PairMoments& a, const BalancedSums& balanced,
                   const VarianceSums& variance, double area) const {
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
    // Mean distances; all pairs with the shares that they have without resampling.
    const double all = 1 - shift_ - frame_.within_share * values[within] -
                       (1 - frame_.within_share) * values[across];
    const double inner = 1 - shift_ - variance.within / variance.weight;
    values[r_squared] = variance.weight > 0.5 && all > 1e-12 ? 1 - inner / all : undefined;
    values[auc] = area;
    return values;
  }

  const Frame& frame_;
  const UnitPairs::Weighted& weighted_;
  Eigen::Index column_;
  const PairAuc::Sweep& sweep_;
  std::size_t lane_;
  double shift_;
  std::size_t k_;
  PairTotals totals_;
  BalancedSums balanced_;
  VarianceSums variance_;
  Values values_{};
  PairTotals copy_;
  std::vector<std::size_t> touched_;
};

using Evaluation = std::array<Studentised, n_statistics>;

// Statistics of one similarity matrix, or differences of those of two, with all resamples of units.
class Resampling {
 public:
  Resampling(std::vector<Source> sources, Frame frame, const CategoryIndex& categories,
             const Units& units, const BootstrapOptions& options)
      : sources_(std::move(sources)),
        frame_(std::move(frame)),
        strata_(strata_of(units, categories.names.size())),
        n_units_(units.size()),
        options_(options) {}

  double shift() const { return sources_.front().pairs.shift(); }

  Evaluation observed() const {
    return evaluate(Eigen::MatrixXd::Ones(static_cast<Eigen::Index>(n_units_), 1))[0];
  }

  std::vector<Evaluation> resamples() const {
    const int n_batches =
        (options_.n_resamples + static_cast<int>(n_lanes) - 1) / static_cast<int>(n_lanes);
    // Some sweeps share one matrix product.
    constexpr int batches_at_once = 4;
    std::vector<Evaluation> all(static_cast<std::size_t>(options_.n_resamples));
    parallel_for(
        (n_batches + batches_at_once - 1) / batches_at_once, options_.n_threads, [&](int i) {
          throw_if_stopped(options_.stop);
          const int n_at_once = batches_at_once * static_cast<int>(n_lanes);
          const int first = i * n_at_once;
          const int n = std::min(n_at_once, options_.n_resamples - first);
          const auto some = evaluate(drawn_weights(strata_, n_units_, options_.seed, first, n));
          std::copy(some.begin(), some.end(), all.begin() + first);
        });
    return all;
  }

 private:
  static constexpr std::size_t n_lanes = PairAuc::n_lanes;

  std::vector<Evaluation> evaluate(const Eigen::MatrixXd& weights) const {
    std::vector<UnitPairs::Weighted> weighted;
    for (const Source& source : sources_) weighted.emplace_back(source.pairs, weights);
    std::vector<Evaluation> result;
    for (Eigen::Index first = 0; first < weights.cols();
         first += static_cast<Eigen::Index>(n_lanes)) {
      const auto n =
          std::min<Eigen::Index>(static_cast<Eigen::Index>(n_lanes), weights.cols() - first);
      std::vector<PairAuc::Lanes> lanes(n_units_);
      for (std::size_t u = 0; u < lanes.size(); ++u) {
        for (Eigen::Index i = 0; i < n; ++i) {
          lanes[u][static_cast<std::size_t>(i)] = weights(static_cast<Eigen::Index>(u), first + i);
        }
      }
      std::vector<PairAuc::Sweep> sweeps;
      for (const Source& source : sources_) sweeps.push_back(source.auc.sweep(lanes));
      for (Eigen::Index i = 0; i < n; ++i) {
        std::vector<WeightedSource> own;
        for (std::size_t s = 0; s < sources_.size(); ++s) {
          own.emplace_back(sources_[s], frame_, weighted[s], first + i, sweeps[s],
                           static_cast<std::size_t>(i));
        }
        result.push_back(evaluate_one(own, weights.col(first + i)));
      }
    }
    return result;
  }

  Evaluation evaluate_one(std::vector<WeightedSource>& own,
                          const Eigen::Ref<const Vector>& weights) const {
    Evaluation result;
    for (std::size_t s = 0; s < n_statistics; ++s) {
      result[s].value = 0;
      for (std::size_t i = 0; i < own.size(); ++i) {
        result[s].value += sources_[i].sign * own[i].values()[s];
      }
    }
    std::array<JackknifeVariance, n_statistics> variance;
    for (const auto& stratum : strata_) {
      for (const std::size_t u : stratum) {
        const double weight = weights(static_cast<Eigen::Index>(u));
        if (weight == 0) continue;
        // Measured from the resample's own value, so that no digits are lost.
        Values changes{};
        for (std::size_t i = 0; i < own.size(); ++i) {
          const Values without = own[i].without_copy(u);
          for (std::size_t s = 0; s < n_statistics; ++s) {
            changes[s] += sources_[i].sign * (without[s] - own[i].values()[s]);
          }
        }
        for (std::size_t s = 0; s < n_statistics; ++s) variance[s].add(weight, changes[s]);
      }
      for (JackknifeVariance& one : variance) one.end_stratum(stratum.size());
    }
    for (std::size_t s = 0; s < n_statistics; ++s) {
      result[s].standard_error = variance[s].standard_error();
    }
    return result;
  }

  std::vector<Source> sources_;
  Frame frame_;
  std::vector<std::vector<std::size_t>> strata_;
  std::size_t n_units_;
  const BootstrapOptions& options_;
};

Frame frame_of(const CategoryIndex& categories, const Units& units, InnerPairs inner, bool logit) {
  Frame frame;
  frame.logit = logit;
  for (const std::int64_t n : categories.n_prompts)
    frame.n_prompts.push_back(static_cast<double>(n));
  double n_within = 0;
  double n_all = 0;
  const auto n = categories.of_prompt.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (inner == InnerPairs::leave_out && units.of_prompt[i] == units.of_prompt[j]) continue;
      n_all += 1;
      n_within += categories.of_prompt[i] == categories.of_prompt[j] ? 1 : 0;
    }
  }
  frame.within_share = n_all > 0 ? n_within / n_all : undefined;
  return frame;
}

std::vector<Studentised> column_of(const std::vector<Evaluation>& resamples, Statistic statistic) {
  std::vector<Studentised> column;
  for (const Evaluation& one : resamples) column.push_back(one[statistic]);
  return column;
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
  std::vector<Source> sources;
  sources.push_back(
      {UnitPairs(similarity, categories, units), PairAuc(similarity, categories, units)});
  const Resampling resampling(std::move(sources),
                              frame_of(categories, units, InnerPairs::keep, true), categories,
                              units, options);
  const Evaluation observed = resampling.observed();
  const std::array<std::pair<Statistic, IntervalEstimate*>, 8> targets{
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
    target->estimate = observed[statistic].value;
    target->reason =
        obstacle(units, categories, statistic != within && statistic != balanced_within);
    if (std::isnan(target->estimate) && target->reason.empty()) {
      target->reason = "the estimate is undefined";
    } else if (std::isinf(target->estimate)) {
      target->reason = "within and across pairs do not overlap";
    }
    if (target->reason.empty()) {
      if (!resamples) resamples = resampling.resamples();
      add_studentised_interval(observed[statistic], column_of(*resamples, statistic), *target);
    }
    to_reported_scale(statistic, resampling.shift(), *target);
  }
  constexpr double max_calibrated_auc = 0.97;
  result.auc_calibrated = !(result.auc.estimate > max_calibrated_auc);
  return result;
}

DifferenceResult bootstrap_difference(const Matrix& first, const Matrix& second,
                                      const CategoryIndex& categories, const Units& units,
                                      const BootstrapOptions& options) {
  const auto source_of = [&](const Matrix& similarity, double sign) {
    return Source{UnitPairs(similarity, categories, units, InnerPairs::leave_out),
                  PairAuc(similarity, categories, units, InnerPairs::leave_out), sign};
  };
  const Frame frame = frame_of(categories, units, InnerPairs::leave_out, false);
  const auto resampling_of = [&](std::vector<Source> sources) {
    return Resampling(std::move(sources), frame, categories, units, options);
  };
  std::vector<Source> both;
  both.push_back(source_of(first, -1));
  both.push_back(source_of(second, 1));
  const Evaluation own = resampling_of({both.begin(), both.begin() + 1}).observed();
  const Evaluation other = resampling_of({both.begin() + 1, both.end()}).observed();
  const Resampling resampling = resampling_of(std::move(both));
  const Evaluation observed = resampling.observed();
  const std::string no_interval = obstacle(units, categories, true);
  std::vector<Evaluation> resamples;
  if (no_interval.empty()) resamples = resampling.resamples();
  const auto difference_of = [&](Statistic statistic) {
    PairedEstimate estimate;
    estimate.first = -own[statistic].value;
    estimate.second = other[statistic].value;
    estimate.difference.estimate = observed[statistic].value;
    estimate.difference.reason = no_interval;
    if (no_interval.empty()) {
      add_studentised_interval(observed[statistic], column_of(resamples, statistic),
                               estimate.difference);
    }
    return estimate;
  };
  return {difference_of(gap), difference_of(cohens), difference_of(auc), difference_of(r_squared)};
}

}  // namespace moexray::stats
