#include "fold_models.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "moexray/core/error.h"
#include "parallel.h"

namespace moexray::stats {
namespace {

constexpr FoldSet one_fold(int fold) { return FoldSet{1} << fold; }

bool contains(FoldSet set, int fold) { return (set & one_fold(fold)) != 0; }

// Softmax of the scores of the trained classes; the others get 0.
Eigen::RowVectorXd softmax(const Eigen::RowVectorXd& scores) {
  const Eigen::RowVectorXd e = (scores.array() - scores.maxCoeff()).exp();
  return e / e.sum();
}

// −log p of a label, with p bounded so that a class that was not trained costs much, not infinity.
double bounded_log_loss(const Eigen::RowVectorXd& scores, int label) {
  constexpr double smallest = 1e-6;
  return -std::log(std::max(softmax(scores)(label), smallest));
}

}  // namespace

SplitRows split_rows(std::span<const int> folds, FoldSet left_out) {
  SplitRows rows;
  for (std::size_t i = 0; i < folds.size(); ++i) {
    (contains(left_out, folds[i]) ? rows.test : rows.train).push_back(static_cast<Eigen::Index>(i));
  }
  return rows;
}

CoordinateStore shared_coordinates(const FeatureMaker& features, std::span<const int> folds,
                                   int n_folds, const PipelineOptions& options, int n_threads) {
  const bool chooses = options.grid.size() > 1 || options.calibrate;
  std::vector<FoldSet> sets;
  for (int a = 0; a < n_folds; ++a) {
    sets.push_back(one_fold(a));
    for (int b = a + 1; b < n_folds && chooses; ++b) sets.push_back(one_fold(a) | one_fold(b));
  }
  std::vector<std::shared_ptr<const RowCoordinates>> made(sets.size());
  parallel_for(static_cast<int>(sets.size()), n_threads, [&](int i) {
    const auto index = static_cast<std::size_t>(i);
    const SplitRows rows = split_rows(folds, sets[index]);
    made[index] = std::make_shared<const RowCoordinates>(row_coordinates(
        features(rows), static_cast<Eigen::Index>(rows.train.size()), options.unit_size));
  });
  CoordinateStore store;
  for (std::size_t i = 0; i < sets.size(); ++i) store[sets[i]] = std::move(made[i]);
  return store;
}

FoldModels::FoldModels(const FeatureMaker& features, std::span<const int> labels, int n_classes,
                       std::span<const int> folds, int n_folds, const PipelineOptions& options,
                       const CoordinateStore* shared)
    : features_(features),
      labels_(labels),
      n_classes_(n_classes),
      folds_(folds),
      n_folds_(n_folds),
      options_(options),
      shared_(shared) {
  if (n_folds > max_nested_folds) {
    throw Error(ErrorKind::data, {"nested cross-validation",
                                  {},
                                  "at most " + std::to_string(max_nested_folds) + " folds",
                                  std::to_string(n_folds)});
  }
}

FoldModels::Split& FoldModels::split(FoldSet left_out) {
  const auto found = splits_.find(left_out);
  if (found != splits_.end()) return found->second;
  Split& split = splits_[left_out];
  split.rows = split_rows(folds_, left_out);
  if (split.rows.train.empty()) {
    throw Error(ErrorKind::data, "nested cross-validation: no fold is left to train on");
  }
  split.prior = Vector::Zero(n_classes_);
  for (const Eigen::Index row : split.rows.train) {
    split.prior(labels_[static_cast<std::size_t>(row)]) += 1;
  }
  std::vector<int> number(static_cast<std::size_t>(n_classes_), -1);
  for (int k = 0; k < n_classes_; ++k) {
    if (split.prior(k) == 0) continue;
    number[static_cast<std::size_t>(k)] = static_cast<int>(split.category.size());
    split.category.push_back(k);
  }
  for (const Eigen::Index row : split.rows.train) {
    split.classes.push_back(
        number[static_cast<std::size_t>(labels_[static_cast<std::size_t>(row)])]);
  }
  split.prior /= split.prior.sum();
  if (shared_ != nullptr && shared_->contains(left_out)) {
    split.coordinates = shared_->at(left_out);
  } else {
    split.coordinates = std::make_shared<const RowCoordinates>(
        row_coordinates(features_(split.rows), static_cast<Eigen::Index>(split.rows.train.size()),
                        options_.unit_size));
  }
  split.scores.resize(options_.grid.size());
  return split;
}

const Matrix& FoldModels::scores(Split& split, std::size_t c_index) {
  Matrix& scores = split.scores[c_index];
  if (scores.size() > 0 || split.rows.test.empty()) return scores;
  constexpr double never = -1e9;  // the log odds of a class without training rows
  scores = Matrix::Constant(static_cast<Eigen::Index>(split.rows.test.size()), n_classes_, never);
  const auto n_trained = static_cast<int>(split.category.size());
  Matrix trained = Matrix::Zero(scores.rows(), n_trained);
  if (n_trained > 1) {
    // The fit before, of a smaller C as a rule, is a good start.
    fit_in_coordinates(*split.coordinates, split.classes, n_trained, options_.grid[c_index],
                       options_.tolerance, split.fit);
    trained = test_scores(*split.coordinates, split.fit, n_trained);
  }
  for (int k = 0; k < n_trained; ++k) {
    scores.col(split.category[static_cast<std::size_t>(k)]) = trained.col(k);
  }
  const bool is_done = std::all_of(split.scores.begin(), split.scores.end(),
                                   [](const Matrix& m) { return m.size() > 0; });
  if (is_done) split.coordinates.reset();  // the largest part of a split, with many prompts
  return scores;
}

// The penalty for a model without `left_out`: each of its folds is predicted by the model that
// lacks that fold too.
std::size_t FoldModels::choose_c(FoldSet left_out) {
  if (options_.grid.size() == 1) return 0;
  std::size_t best = 0;
  double best_loss = std::numeric_limits<double>::infinity();
  for (std::size_t c = 0; c < options_.grid.size(); ++c) {
    double loss = 0;
    for (int fold = 0; fold < n_folds_; ++fold) {
      if (contains(left_out, fold)) continue;
      Split& inner = split(left_out | one_fold(fold));
      const Matrix& inner_scores = scores(inner, c);
      for (std::size_t i = 0; i < inner.rows.test.size(); ++i) {
        const auto prompt = static_cast<std::size_t>(inner.rows.test[i]);
        if (folds_[prompt] != fold) continue;
        loss += bounded_log_loss(inner_scores.row(static_cast<Eigen::Index>(i)), labels_[prompt]);
      }
    }
    if (loss < best_loss) {
      best_loss = loss;
      best = c;
    }
  }
  return best;
}

// The factor β of the log odds that minimises the log loss of the training folds, each predicted by
// the others; by golden-section search in log β.
double FoldModels::calibration(FoldSet left_out, std::size_t c_index) {
  std::vector<std::pair<Eigen::RowVectorXd, int>> held_out;
  for (int fold = 0; fold < n_folds_; ++fold) {
    if (contains(left_out, fold)) continue;
    Split& inner = split(left_out | one_fold(fold));
    const Matrix& inner_scores = scores(inner, c_index);
    for (std::size_t i = 0; i < inner.rows.test.size(); ++i) {
      const auto prompt = static_cast<std::size_t>(inner.rows.test[i]);
      if (folds_[prompt] != fold) continue;
      held_out.emplace_back(inner_scores.row(static_cast<Eigen::Index>(i)), labels_[prompt]);
    }
  }
  const auto loss = [&](double log_factor) {
    double sum = 0;
    for (const auto& [score, label] : held_out) {
      sum += bounded_log_loss(std::exp(log_factor) * score, label);
    }
    return sum;
  };
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  double low = std::log(0.05);
  double high = std::log(20.0);
  constexpr double resolution = 0.01;
  double a = high - ratio * (high - low);
  double b = low + ratio * (high - low);
  double loss_a = loss(a);
  double loss_b = loss(b);
  while (high - low > resolution) {
    if (loss_a <= loss_b) {
      high = std::exchange(b, a);
      loss_b = loss_a;
      a = high - ratio * (high - low);
      loss_a = loss(a);
    } else {
      low = std::exchange(a, b);
      loss_a = loss_b;
      b = low + ratio * (high - low);
      loss_b = loss(b);
    }
  }
  return std::exp((low + high) / 2);
}

HeldOut FoldModels::predict(FoldSet left_out) {
  const std::size_t c = choose_c(left_out);
  const double factor = options_.calibrate ? calibration(left_out, c) : 1;
  Split& own = split(left_out);
  const Matrix& own_scores = scores(own, c);
  HeldOut result{own.rows.test, Matrix(own_scores.rows(), n_classes_)};
  for (Eigen::Index i = 0; i < own_scores.rows(); ++i) {
    result.probabilities.row(i) = (1 - options_.prior_share) * softmax(factor * own_scores.row(i)) +
                                  options_.prior_share * own.prior.transpose();
  }
  return result;
}

int predicted_class(const Eigen::RowVectorXd& probabilities) {
  Eigen::Index best = 0;
  probabilities.maxCoeff(&best);
  return static_cast<int>(best);
}

double error_loss(const Eigen::RowVectorXd& probabilities, int label) {
  return predicted_class(probabilities) == label ? 0 : 1;
}

double log_loss_bits(const Eigen::RowVectorXd& probabilities, int label) {
  return -std::log2(probabilities(label));
}

std::vector<NestedLosses> nested_losses(
    FoldModels& models, std::span<const int> labels, std::span<const int> folds, int n_folds,
    std::span<double (*const)(const Eigen::RowVectorXd&, int)> losses) {
  const auto n = static_cast<Eigen::Index>(labels.size());
  std::vector<NestedLosses> result(
      losses.size(), {{folds.begin(), folds.end()}, Vector::Zero(n), Matrix::Zero(n, n_folds)});
  const auto fill = [&](const HeldOut& held_out, auto&& place) {
    for (std::size_t i = 0; i < held_out.rows.size(); ++i) {
      const Eigen::Index row = held_out.rows[i];
      const auto probabilities = held_out.probabilities.row(static_cast<Eigen::Index>(i));
      for (std::size_t l = 0; l < losses.size(); ++l) {
        place(result[l], row) = losses[l](probabilities, labels[static_cast<std::size_t>(row)]);
      }
    }
  };
  for (int a = 0; a < n_folds; ++a) {
    for (int b = a + 1; b < n_folds; ++b) {
      fill(models.predict(one_fold(a) | one_fold(b)),
           [&](NestedLosses& l, Eigen::Index row) -> double& {
             return l.inner(row, folds[static_cast<std::size_t>(row)] == a ? b : a);
           });
    }
    fill(models.predict(one_fold(a)),
         [](NestedLosses& l, Eigen::Index row) -> double& { return l.outer(row); });
  }
  return result;
}

std::vector<int> held_out_classes(FoldModels& models, std::size_t n, int n_folds) {
  std::vector<int> classes(n, -1);
  for (int fold = 0; fold < n_folds; ++fold) {
    const HeldOut held_out = models.predict(one_fold(fold));
    for (std::size_t i = 0; i < held_out.rows.size(); ++i) {
      classes[static_cast<std::size_t>(held_out.rows[i])] =
          predicted_class(held_out.probabilities.row(static_cast<Eigen::Index>(i)));
    }
  }
  return classes;
}

}  // namespace moexray::stats
