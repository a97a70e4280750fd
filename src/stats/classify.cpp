#include "moexray/stats/classify.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "feature_sets.h"
#include "moexray/core/error.h"
#include "moexray/stats/folds.h"
#include "moexray/stats/nested_cv.h"
#include "moexray/stats/ties.h"
#include "nested_repetitions.h"
#include "pair_means.h"
#include "parallel.h"

namespace moexray::stats {
namespace {

struct FoldRows {
  std::vector<Eigen::Index> train;
  std::vector<Eigen::Index> test;
};

struct FoldOutcome {
  std::vector<int> predicted;  // of the test rows
  Matrix probabilities;        // [test rows, K]
  bool converged = false;
};

int count_folds(const std::vector<int>& folds, std::size_t n_prompts) {
  if (folds.size() != n_prompts) {
    throw Error(ErrorKind::data, {"folds",
                                  {},
                                  "one for each of " + std::to_string(n_prompts) + " prompts",
                                  std::to_string(folds.size())});
  }
  std::vector<bool> seen;
  for (const int fold : folds) {
    if (fold < 0 || static_cast<std::size_t>(fold) >= n_prompts) {
      throw Error(
          ErrorKind::data,
          {"fold out of range", {}, "0 to " + std::to_string(n_prompts - 1), std::to_string(fold)});
    }
    if (static_cast<std::size_t>(fold) >= seen.size())
      seen.resize(static_cast<std::size_t>(fold) + 1);
    seen[static_cast<std::size_t>(fold)] = true;
  }
  const auto gap = std::find(seen.begin(), seen.end(), false);
  if (gap != seen.end()) {
    throw Error(ErrorKind::data, {"fold " + std::to_string(gap - seen.begin()) + " has no prompt",
                                  {},
                                  "folds numbered from 0 without gaps",
                                  "a fold " + std::to_string(seen.size() - 1)});
  }
  if (seen.size() < 2) throw Error(ErrorKind::data, {"number of folds", {}, "at least 2", "1"});
  return static_cast<int>(seen.size());
}

FoldRows rows_of_fold(const std::vector<int>& folds, int fold) {
  FoldRows rows;
  for (std::size_t i = 0; i < folds.size(); ++i) {
    (folds[i] == fold ? rows.test : rows.train).push_back(static_cast<Eigen::Index>(i));
  }
  return rows;
}

// The categories among some rows, numbered without gaps as the fit wants them.
struct LocalClasses {
  std::vector<int> of_row;
  std::vector<int> category;  // of each local class, ascending
};

LocalClasses local_classes(const std::vector<int>& of_prompt,
                           const std::vector<Eigen::Index>& rows) {
  LocalClasses result;
  for (const Eigen::Index row : rows)
    result.category.push_back(of_prompt[static_cast<std::size_t>(row)]);
  std::sort(result.category.begin(), result.category.end());
  result.category.erase(std::unique(result.category.begin(), result.category.end()),
                        result.category.end());
  for (const Eigen::Index row : rows) {
    const auto it = std::lower_bound(result.category.begin(), result.category.end(),
                                     of_prompt[static_cast<std::size_t>(row)]);
    result.of_row.push_back(static_cast<int>(it - result.category.begin()));
  }
  return result;
}

FoldOutcome run_fold(const Signatures& signatures, const CategoryIndex& categories,
                     const std::vector<int>& folds, int fold, const LogisticOptions& options) {
  const FoldRows rows = rows_of_fold(folds, fold);
  const LocalClasses classes = local_classes(categories.of_prompt, rows.train);
  if (classes.category.size() < 2) {
    throw Error(
        ErrorKind::data,
        {"the folds other than fold " + std::to_string(fold),
         {},
         "at least two categories to learn from",
         "only \"" + categories.names[static_cast<std::size_t>(classes.category.at(0))] + "\""});
  }
  const Matrix train = signatures.values(rows.train, Eigen::all);
  const Standardizer standardizer(train);
  const LogisticModel model = fit_logistic(standardizer.apply(train), classes.of_row,
                                           static_cast<int>(classes.category.size()), options);
  FoldOutcome outcome;
  outcome.converged = model.converged;
  const Matrix test = standardizer.apply(signatures.values(rows.test, Eigen::all));
  for (const int local : model.predict(test)) {
    outcome.predicted.push_back(classes.category[static_cast<std::size_t>(local)]);
  }
  // A category that the other folds lack is never predicted.
  outcome.probabilities =
      Matrix::Zero(test.rows(), static_cast<Eigen::Index>(categories.names.size()));
  outcome.probabilities(Eigen::all, classes.category) = model.probabilities(test);
  return outcome;
}

// Scores the folds in order: fills predictions, confusion and accuracy.
void collect(const std::vector<FoldOutcome>& outcomes, ClassifyResult& result) {
  std::int64_t n_correct = 0;
  for (std::size_t fold = 0; fold < outcomes.size(); ++fold) {
    const FoldRows rows = rows_of_fold(result.folds, static_cast<int>(fold));
    std::int64_t n_fold_correct = 0;
    for (std::size_t i = 0; i < rows.test.size(); ++i) {
      const auto row = static_cast<std::size_t>(rows.test[i]);
      result.predicted[row] = outcomes[fold].predicted[i];
      result.probabilities.row(rows.test[i]) =
          outcomes[fold].probabilities.row(static_cast<Eigen::Index>(i));
      ++result.confusion(result.truth[row], result.predicted[row]);
      if (result.predicted[row] == result.truth[row]) ++n_fold_correct;
    }
    n_correct += n_fold_correct;
    result.accuracy.folds.push_back(static_cast<double>(n_fold_correct) /
                                    static_cast<double>(rows.test.size()));
    result.converged = result.converged && outcomes[fold].converged;
  }
  const Eigen::Map<const Vector> accuracies(
      result.accuracy.folds.data(), static_cast<Eigen::Index>(result.accuracy.folds.size()));
  result.accuracy.mean = accuracies.mean();
  result.accuracy.std = std::sqrt((accuracies.array() - result.accuracy.mean).square().mean());
  result.accuracy.wilson95 = wilson_interval(n_correct, result.n_prompts);
}

void add_class_metrics(ClassifyResult& result) {
  for (std::size_t c = 0; c < result.categories.size(); ++c) {
    const auto k = static_cast<Eigen::Index>(c);
    const auto correct = static_cast<double>(result.confusion(k, k));
    const auto n_predicted = static_cast<double>(result.confusion.col(k).sum());
    ClassMetrics metrics;
    metrics.support = result.confusion.row(k).sum();
    const auto support = static_cast<double>(metrics.support);
    metrics.precision = n_predicted > 0 ? correct / n_predicted : undefined;
    metrics.recall = correct / support;
    metrics.f1 = 2 * correct / (n_predicted + support);
    result.macro_f1 += metrics.f1 / static_cast<double>(result.categories.size());
    if (n_predicted == 0) {
      result.notices.push_back("category \"" + result.categories[c] +
                               "\" was never predicted: its precision is undefined");
    }
    result.per_class.push_back(metrics);
  }
}

void add_top_experts(const Signatures& signatures, const ClassifyOptions& options,
                     ClassifyResult& result) {
  const auto n_categories = static_cast<int>(result.categories.size());
  const Standardizer standardizer(signatures.values);
  const LogisticModel model = fit_logistic(standardizer.apply(signatures.values), result.truth,
                                           n_categories, options.logistic);
  result.converged = result.converged && model.converged;
  const Eigen::Index n_features = signatures.values.cols();
  const Eigen::Index n_listed = std::min<Eigen::Index>(options.n_top_experts, n_features);
  for (int c = 0; c < n_categories; ++c) {
    const Eigen::RowVectorXd weights = n_categories > 2
                                           ? Eigen::RowVectorXd(model.coefficients.row(c))
                                       : c == 1 ? Eigen::RowVectorXd(model.coefficients.row(0))
                                                : Eigen::RowVectorXd(-model.coefficients.row(0));
    // Experts that always go together have weights that only the fit's tolerance tells apart.
    constexpr double tolerance = 1e-6;
    const Eigen::RowVectorXd keys =
        weights.unaryExpr([](double weight) { return tie_key(weight, tolerance); });
    std::vector<int> order(static_cast<std::size_t>(n_features));
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + n_listed, order.end(),
                      [&](int a, int b) { return keys(a) != keys(b) ? keys(a) > keys(b) : a < b; });
    for (Eigen::Index i = 0; i < n_listed; ++i) {
      const int column = order[static_cast<std::size_t>(i)];
      if (!(weights(column) > 0)) break;
      result.top_experts.push_back({c, column / signatures.shape.n_experts,
                                    column % signatures.shape.n_experts, weights(column)});
    }
  }
}

// Folds that were given may not separate prompts that belong together.
void check_groups(const Units& units, const std::vector<int>& folds) {
  for (std::size_t u = 0; u < units.size(); ++u) {
    for (const std::size_t row : units.members[u]) {
      if (folds[row] == folds[units.members[u].front()]) continue;
      throw Error(ErrorKind::data, {"group \"" + units.names[u] + "\" lies in several folds",
                                    {},
                                    "one fold for each group",
                                    {}});
    }
  }
}

// Drawn folds only: an interval over repeated divisions says nothing of given ones.
void add_nested_interval(const Signatures& signatures, const CategoryIndex& categories,
                         const Units& units, const ClassifyOptions& options, int n_folds,
                         ClassifyResult& result) {
  if (options.n_nested_repetitions == 0 || !options.folds.empty()) return;
  PipelineOptions pipeline;
  pipeline.grid = {options.logistic.c};
  if (!allows_nesting(n_folds, pipeline)) {
    result.notices.push_back("no nested cross-validation interval: it needs 3 to " +
                             std::to_string(max_nested_folds) + " folds");
    return;
  }
  const NestedDesign design{
      signatures.ids, categories,        units,       n_folds, options.n_nested_repetitions,
      options.seed,   options.n_threads, options.work};
  const FeatureMaker features = signature_features(signatures);
  constexpr std::array losses = {&error_loss};
  const auto repetitions =
      nested_repetitions(design, [&](int) { return features; }, pipeline, losses);
  const NestedInterval interval = nested_interval(repetitions.front(), units, n_folds);
  if (std::isnan(interval.ci95[0])) {
    result.notices.emplace_back(
        "no nested cross-validation interval: every held-out prediction is alike");
    return;
  }
  result.accuracy.ci95 = {std::max(0.0, 1 - interval.ci95[1]), std::min(1.0, 1 - interval.ci95[0])};
}

}  // namespace

std::array<double, 2> wilson_interval(std::int64_t n_correct, std::int64_t n) {
  constexpr double z = 1.959963984540054;  // the normal distribution's 97.5% point
  const auto total = static_cast<double>(n);
  const double p = static_cast<double>(n_correct) / total;
  const double denominator = 1 + z * z / total;
  const double centre = (p + z * z / (2 * total)) / denominator;
  const double half =
      z / denominator * std::sqrt(p * (1 - p) / total + z * z / (4 * total * total));
  // At the ends the formula gives exactly 0 and 1, up to rounding.
  return {n_correct == 0 ? 0.0 : std::max(0.0, centre - half),
          n_correct == n ? 1.0 : std::min(1.0, centre + half)};
}

ClassifyResult classify(const Signatures& signatures, const ClassifyOptions& options) {
  const CategoryIndex categories = index_categories(signatures);
  if (categories.names.size() < 2) {
    throw Error(ErrorKind::data, nothing_to_compare(categories));
  }
  const Units units = make_units(signatures.ids, categories, options.groups);
  ClassifyResult result;
  result.folds = options.folds.empty() ? grouped_folds(signatures.ids, categories, units,
                                                       options.n_folds, options.seed)
                                       : options.folds;
  const int n_folds = count_folds(result.folds, signatures.size());
  if (units.grouped) check_groups(units, result.folds);
  const auto n_categories = static_cast<Eigen::Index>(categories.names.size());
  result.categories = categories.names;
  result.truth = categories.of_prompt;
  result.predicted.resize(signatures.size());
  result.probabilities = Matrix::Zero(static_cast<Eigen::Index>(signatures.size()),
                                      static_cast<Eigen::Index>(categories.names.size()));
  result.confusion = CountMatrix::Zero(n_categories, n_categories);
  result.n_prompts = static_cast<std::int64_t>(signatures.size());
  result.n_features = signatures.values.cols();
  result.chance = static_cast<double>(
                      *std::max_element(categories.n_prompts.begin(), categories.n_prompts.end())) /
                  static_cast<double>(result.n_prompts);
  result.converged = true;

  std::vector<FoldOutcome> outcomes(static_cast<std::size_t>(n_folds));
  parallel_for(n_folds, options.n_threads, [&](int fold) {
    outcomes[static_cast<std::size_t>(fold)] =
        run_fold(signatures, categories, result.folds, fold, options.logistic);
  });
  collect(outcomes, result);
  add_class_metrics(result);
  add_top_experts(signatures, options, result);
  add_nested_interval(signatures, categories, units, options, n_folds, result);
  if (!result.converged) result.notices.push_back("a fit did not reach its tolerance");
  return result;
}

}  // namespace moexray::stats
