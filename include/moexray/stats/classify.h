#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "moexray/stats/logistic.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

struct ClassifyOptions {
  int n_folds = 5;  ///< stratified, shuffled (see stratified_folds); unused if `folds` is given
  /// [n] fold of each prompt, numbered from 0 without gaps; empty: drawn from `seed`.
  std::vector<int> folds = {};
  std::uint64_t seed = 0;
  LogisticOptions logistic = {};
  int n_top_experts = 10;  ///< experts listed per category
  int n_threads = 1;       ///< folds fitted at the same time; does not change the result
  /// [n] or empty: each prompt's group, which drawn folds and the interval keep together; see
  /// make_units.
  std::vector<std::string> groups = {};
  int n_nested_repetitions = 0;  ///< of nested cross-validation, for ci95; 0: none
  Work work = {};                ///< a step is a repetition
};

/// Above it too few predictions are wrong for the nested interval to cover as often as it says: see
/// docs/statistics.md.
inline constexpr double highest_calibrated_accuracy = 0.97;

struct Accuracy {
  double mean = 0;                      ///< of the folds' accuracies
  double std = 0;                       ///< population standard deviation over folds
  std::vector<double> folds;            ///< [F]
  std::array<double, 2> wilson95 = {};  ///< of the pooled predictions, see wilson_interval
  /// Nested cross-validation (see nested_interval), of the accuracy of a model of all prompts, cut
  /// to [0, 1]. NaN: not computed, or held-out predictions do not vary.
  std::array<double, 2> ci95 = {undefined, undefined};
};

/// Over the pooled held-out predictions. Undefined (NaN) without a prediction or without a member.
struct ClassMetrics {
  double precision = 0;  ///< correct / predicted as this category
  double recall = 0;     ///< correct / members
  double f1 = 0;         ///< 2·correct / (predicted + members)
  std::int64_t support = 0;
};

/// A weight of the model fitted on all prompts: how an expert's standardised share moves the log
/// odds.
struct ExpertWeight {
  int category = 0;
  int layer = 0;
  int expert = 0;
  double weight = 0;
};

struct ClassifyResult {
  Accuracy accuracy;
  double macro_f1 = 0;                  ///< mean of f1 over categories
  double chance = 0;                    ///< share of the largest category
  std::vector<std::string> categories;  ///< [K], alphabetical
  CountMatrix confusion;                ///< [K, K] rows: true, columns: predicted
  std::vector<ClassMetrics> per_class;  ///< [K]
  std::vector<int> truth;               ///< [n]
  std::vector<int> predicted;           ///< [n] by the model that did not see the prompt
  Matrix probabilities;                 ///< [n, K] of the same models; rows sum to 1
  std::vector<int> folds;               ///< [n]
  /// The largest positive weights of each category, largest first, of a model fitted on all prompts
  /// (for two categories: its one weight vector for the second, its negative for the first).
  std::vector<ExpertWeight> top_experts;
  bool converged = false;  ///< every fit reached the tolerance
  std::int64_t n_prompts = 0;
  std::int64_t n_features = 0;
  std::vector<std::string> notices;
};

/// Wilson's 95% score interval for a proportion (Wilson 1927).
std::array<double, 2> wilson_interval(std::int64_t n_correct, std::int64_t n);

/// Cross-validated logistic regression from signatures to categories: each fold is predicted by a
/// model whose standardisation and weights come from the other folds alone.
/// @throws Error (data) with fewer than two categories, prompts without a category, a category with
///         fewer prompts than folds, or a fold that is empty or leaves a single category to train
///         on; with groups, a category in fewer of them than folds, or given folds that tear one
///         apart. Error (interrupted).
ClassifyResult classify(const Signatures& signatures, const ClassifyOptions& options);

}  // namespace moexray::stats
