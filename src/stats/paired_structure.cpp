#include "moexray/stats/paired_structure.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "feature_sets.h"
#include "moexray/core/error.h"
#include "moexray/stats/similarity.h"
#include "nested_repetitions.h"
#include "parallel.h"
#include "relabelling.h"

namespace moexray::stats {
namespace {

constexpr std::array<const char*, 4> separation_names = {"gap", "cohens_d", "auc", "r_squared"};

// Number, sum and sum of squares of similarities.
struct PairSums {
  double n = 0;
  double sum = 0;
  double squares = 0;

  void add(double s) {
    n += 1;
    sum += s;
    squares += s * s;
  }
  PairStatistics statistics() const {
    PairStatistics result;
    result.n_pairs = static_cast<std::int64_t>(n);
    if (n > 0) result.mean = sum / n;
    if (n > 1) result.std = std::sqrt(std::max(squares - sum * (sum / n), 0.0) / (n - 1));
    return result;
  }
};

// How well one set of rows separates the categories, from its pairs in ascending order of their
// similarity.
class Separation {
 public:
  explicit Separation(std::size_t n_categories) : of_category_(n_categories) {}

  void clear() {
    within_ = across_ = {};
    std::fill(of_category_.begin(), of_category_.end(), PairSums{});
    concordant_ = n_below_ = run_within_ = run_across_ = 0;
  }
  void add(double similarity, int category) {  // −1: of two categories
    if (category < 0) {
      across_.add(similarity);
      run_across_ += 1;
    } else {
      within_.add(similarity);
      of_category_[static_cast<std::size_t>(category)].add(similarity);
      run_within_ += 1;
    }
  }
  // Behind the last of several equal similarities.
  void end_run() {
    concordant_ += run_within_ * (n_below_ + 0.5 * run_across_);
    n_below_ += run_across_;
    run_within_ = run_across_ = 0;
  }
  // In the order of separation_names.
  std::array<double, 4> values(const CategoryIndex& categories) const {
    const PairStatistics within = within_.statistics();
    const PairStatistics across = across_.statistics();
    double inner = 0;
    double weight = 0;
    for (std::size_t c = 0; c < of_category_.size(); ++c) {
      const double n_others = static_cast<double>(categories.n_prompts[c]) - 1;
      if (of_category_[c].n == 0) continue;
      inner += n_others * (1 - of_category_[c].sum / of_category_[c].n);
      weight += n_others;
    }
    const double all = 1 - (within_.sum + across_.sum) / (within_.n + across_.n);
    return {within.mean - across.mean, cohens_d(within, across),
            concordant_ / (within_.n * across_.n),
            all > 1e-12 && weight > 0 ? 1 - inner / weight / all : undefined};
  }

 private:
  PairSums within_;
  PairSums across_;
  std::vector<PairSums> of_category_;
  double concordant_ = 0;
  double n_below_ = 0;
  double run_within_ = 0;
  double run_across_ = 0;
};

// The similarities of all rows of both routings, sorted once; an exchange is one sweep over them.
class ExchangedRows {
 public:
  ExchangedRows(const PairedPrompts& prompts, const Matrix& first, const Matrix& second)
      : prompts_(prompts) {
    if (prompts.units.size() > UINT16_MAX) {
      throw Error(ErrorKind::runtime, "more units than rows can be exchanged of");
    }
    const auto n = first.rows();
    const Matrix own = first * first.transpose();
    const Matrix other = second * second.transpose();
    const Matrix mixed = first * second.transpose();
    for (Eigen::Index i = 0; i < n; ++i) {
      for (Eigen::Index j = 0; j < i; ++j) {
        const int unit = unit_of(i);
        const int other_unit = unit_of(j);
        if (unit == other_unit) continue;
        const int a = prompts.categories.of_prompt[static_cast<std::size_t>(i)];
        const int b = prompts.categories.of_prompt[static_cast<std::size_t>(j)];
        const auto category = static_cast<std::int16_t>(a == b ? a : -1);
        const auto add = [&](double s, bool from_second, bool other_from_second) {
          pairs_.push_back({s, static_cast<std::uint16_t>(unit),
                            static_cast<std::uint16_t>(other_unit), category, from_second,
                            other_from_second});
        };
        add(own(i, j), false, false);
        add(other(i, j), true, true);
        add(mixed(i, j), false, true);
        add(mixed(j, i), true, false);
      }
    }
    std::sort(pairs_.begin(), pairs_.end(),
              [](const Pair& x, const Pair& y) { return x.similarity < y.similarity; });
  }

  // Second − first, of each of separation_names.
  void differences(std::span<const char> exchanged, std::span<double> values) const {
    Separation first(prompts_.categories.names.size());
    Separation second(prompts_.categories.names.size());
    constexpr double equal = 1e-12;
    double run_begin = -INFINITY;
    for (const Pair& pair : pairs_) {
      const bool a = pair.from_second != (exchanged[pair.unit] != 0);
      const bool b = pair.other_from_second != (exchanged[pair.other_unit] != 0);
      if (a != b) continue;
      if (pair.similarity > run_begin + equal) {
        first.end_run();
        second.end_run();
        run_begin = pair.similarity;
      }
      (a ? second : first).add(pair.similarity, pair.category);
    }
    first.end_run();
    second.end_run();
    const auto of_first = first.values(prompts_.categories);
    const auto of_second = second.values(prompts_.categories);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = of_second[i] - of_first[i];
  }

 private:
  struct Pair {
    double similarity;
    std::uint16_t unit;
    std::uint16_t other_unit;
    std::int16_t category;  // −1: of two
    bool from_second;
    bool other_from_second;
  };

  int unit_of(Eigen::Index row) const {
    return prompts_.units.of_prompt[static_cast<std::size_t>(row)];
  }

  const PairedPrompts& prompts_;
  std::vector<Pair> pairs_;
};

void add_separation(const PairedPrompts& prompts, const PairedStructureOptions& options,
                    PairedStructure& result) {
  const Matrix first = unit_blocks(prompts.first);
  const Matrix second = unit_blocks(prompts.second);
  const auto n = static_cast<double>(prompts.size());
  const DifferenceResult difference = bootstrap_difference(
      pair_similarity(first), pair_similarity(second), prompts.categories, prompts.units,
      {.n_resamples = affordable_draws(options.n_resamples, 1e9, n * n, 199),
       .seed = options.seed,
       .n_threads = options.n_threads,
       .stop = options.work.stop});
  const std::array estimates = {difference.gap, difference.cohens_d, difference.auc,
                                difference.r_squared};
  std::vector<PairedTest> tests(separation_names.size());
  if (options.exchange_rows) {
    const ExchangedRows rows(prompts, first, second);
    tests =
        paired_tests(prompts.units.size(), separation_names.size(),
                     [&](std::span<const char> exchanged, std::span<double> values) {
                       rows.differences(exchanged, values);
                     },
                     {.n_permutations = affordable_draws(options.n_permutations, 1e9, n * n, 199),
                      .seed = options.seed,
                      .n_threads = options.n_threads,
                      .stop = options.work.stop});
  }
  for (std::size_t i = 0; i < separation_names.size(); ++i) {
    result.numbers.push_back({separation_names[i], estimates[i], tests[i]});
  }
}

// The rows of one routing for the training prompts and of one for the others.
FeatureMaker transferred_signatures(const Matrix& train, const Matrix& test) {
  return [&train, &test](const SplitRows& rows) {
    Matrix values(static_cast<Eigen::Index>(rows.train.size() + rows.test.size()), train.cols());
    values.topRows(static_cast<Eigen::Index>(rows.train.size())) = train(rows.train, Eigen::all);
    values.bottomRows(static_cast<Eigen::Index>(rows.test.size())) = test(rows.test, Eigen::all);
    return FeatureBlocks{{std::move(values), true}};
  };
}

// Similarities of prompts to the training prompts in their own routing, by the mean and the
// standard deviation that the training prompts have.
class RelativeRows {
 public:
  RelativeRows(const Matrix& similarity, const std::vector<Eigen::Index>& train)
      : similarity_(similarity), train_(train) {
    Matrix values = similarity(train, train);
    const auto n = static_cast<double>(train.size());
    for (Eigen::Index j = 0; j < values.cols(); ++j) {
      values(j, j) = (values.col(j).sum() - values(j, j)) / (n - 1);
    }
    mean_ = values.colwise().mean();
    deviation_ = ((values.rowwise() - mean_).colwise().squaredNorm() / n).cwiseSqrt();
    deviation_ = (deviation_.array() < 1e-12).select(1, deviation_);
    of_train_ = scaled(values);
  }

  const Matrix& of_train() const { return of_train_; }
  Matrix of(const std::vector<Eigen::Index>& rows) const {
    return scaled(similarity_(rows, train_));
  }

 private:
  Matrix scaled(const Matrix& values) const {
    return (values.rowwise() - mean_).array().rowwise() / deviation_.array();
  }

  const Matrix& similarity_;
  const std::vector<Eigen::Index>& train_;
  Eigen::RowVectorXd mean_;
  Eigen::RowVectorXd deviation_;
  Matrix of_train_;
};

FeatureMaker transferred_similarities(const Matrix& train, const Matrix& test) {
  return [&train, &test](const SplitRows& rows) {
    const RelativeRows trained(train, rows.train);
    const Matrix held_out = RelativeRows(test, rows.train).of(rows.test);
    Matrix values(trained.of_train().rows() + held_out.rows(), held_out.cols());
    values << trained.of_train(), held_out;
    return FeatureBlocks{{std::move(values), false}};
  };
}

constexpr std::array<std::array<int, 2>, 4> transfer_cells = {{{0, 0}, {0, 1}, {1, 0}, {1, 1}}};

std::array<double, 2> accuracy_interval(const NestedInterval& loss) {
  if (std::isnan(loss.ci95[0])) return {undefined, undefined};
  return {std::clamp(1 - loss.ci95[1], 0.0, 1.0), std::clamp(1 - loss.ci95[0], 0.0, 1.0)};
}

// Fewer repetitions for more prompts; 0: too much work.
int affordable_repetitions(const PairedPrompts& prompts, const PairedStructureOptions& options) {
  constexpr double budget = 3e10;
  const double most = budget / std::max(repetition_operations(prompts.first, options.n_folds),
                                        repetition_operations(prompts.second, options.n_folds));
  return most < 1 ? 0 : static_cast<int>(std::min<double>(options.n_repetitions, most));
}

void add_transfer(const PairedPrompts& prompts, const PairedStructureOptions& options,
                  PairedStructure& result) {
  const PipelineOptions pipeline = confounds_pipeline();
  const int n_repetitions = affordable_repetitions(prompts, options);
  if (n_repetitions == 0 || !allows_nesting(options.n_folds, pipeline)) {
    result.notices.emplace_back(n_repetitions == 0 ? "no classifier: too many prompts and features"
                                                   : "no classifier: it needs 4 to 64 folds");
    return;
  }
  const bool direct = options.exchange_rows;
  result.features = direct ? TransferFeatures::signatures : TransferFeatures::similarities;
  const auto features_of = [&](const Signatures& signatures) {
    return direct ? signatures.values : pair_similarity(unit_blocks(signatures));
  };
  const std::array<Matrix, 2> features = {features_of(prompts.first), features_of(prompts.second)};
  const NestedDesign design{prompts.first.ids, prompts.categories, prompts.units,
                            options.n_folds,   n_repetitions,      options.seed,
                            options.n_threads, options.work};
  constexpr std::array losses = {&error_loss};
  std::vector<std::vector<NestedLosses>> of_cell;
  try {
    for (const auto& [train, test] : transfer_cells) {
      const Matrix& a = features[static_cast<std::size_t>(train)];
      const Matrix& b = features[static_cast<std::size_t>(test)];
      const FeatureMaker maker =
          direct ? transferred_signatures(a, b) : transferred_similarities(a, b);
      of_cell.push_back(
          nested_repetitions(design, [&](int) { return maker; }, pipeline, losses).front());
      const NestedInterval interval =
          nested_interval(of_cell.back(), prompts.units, options.n_folds);
      result.transfer.push_back({train, test, 1 - interval.cv_mean, accuracy_interval(interval)});
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    result.transfer.clear();
    result.notices.push_back(std::string("no classifier: ") + error.what());
    return;
  }
  // The loss of the first minus that of the second is the accuracy of the second minus the first's.
  const NestedInterval difference = nested_interval(
      loss_differences(of_cell.front(), of_cell.back()), prompts.units, options.n_folds);
  PairedNumber accuracy{"accuracy", {}, {}};
  accuracy.estimate.first = result.transfer.front().accuracy;
  accuracy.estimate.second = result.transfer.back().accuracy;
  IntervalEstimate& interval = accuracy.estimate.difference;
  interval.estimate = difference.cv_mean;
  if (std::isnan(difference.ci95[0])) {
    interval.reason = "both classify every prompt alike";
  } else {
    interval.low = difference.ci95[0];
    interval.high = difference.ci95[1];
    interval.standard_error = difference.standard_error;
    interval.method = "nested cross-validation";
  }
  result.numbers.push_back(std::move(accuracy));
}

}  // namespace

const PairedNumber* PairedStructure::find(const std::string& name) const {
  for (const PairedNumber& number : numbers) {
    if (number.name == name) return &number;
  }
  return nullptr;
}

PairedStructure paired_structure(const PairedPrompts& prompts,
                                 const PairedStructureOptions& options) {
  PairedStructure result;
  const auto largest =
      std::max_element(prompts.categories.n_prompts.begin(), prompts.categories.n_prompts.end());
  result.chance = static_cast<double>(*largest) / static_cast<double>(prompts.size());
  add_separation(prompts, options, result);
  add_transfer(prompts, options, result);
  return result;
}

std::int64_t paired_structure_steps(const PairedPrompts& prompts,
                                    const PairedStructureOptions& options) {
  return 4 * affordable_repetitions(prompts, options);
}

}  // namespace moexray::stats
