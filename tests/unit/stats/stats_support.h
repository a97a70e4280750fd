#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moexray/stats/signatures.h"

namespace moexray::test {

/// Signatures from integer counts [n, L·E], as the accumulator would make them.
stats::Signatures signatures_from_counts(const std::vector<std::vector<int>>& counts, int n_layers,
                                         int n_experts, int top_k,
                                         const std::vector<std::string>& categories);

struct RandomSignatureOptions {
  int n_layers = 4;
  int n_experts = 8;
  int top_k = 2;
  double effect = 1;  ///< how much categories differ
};

/// Random signatures of `categories.size()` prompts with ids p0, p1, …
stats::Signatures random_signatures(const std::vector<std::string>& categories, std::uint64_t seed,
                                    const RandomSignatureOptions& options = {});

/// `sizes[c]` prompts of the category "c<c>", mixed up.
std::vector<std::string> mixed_categories(const std::vector<int>& sizes, std::uint64_t seed);

/// Mean, and variance over n − 1, in plain loops.
double mean_of(const std::vector<double>& values);
double variance_of(const std::vector<double>& values);

/// One case of tests/data/classifier.json: what scikit-learn computes.
struct ClassifierCase {
  std::string name;
  stats::Signatures signatures;
  std::vector<int> folds;
  stats::Matrix all_coefficients;
  stats::Vector all_intercepts;
  stats::Matrix without_fold_0_coefficients;
  stats::Vector without_fold_0_intercepts;
  std::vector<std::string> predicted;
  double accuracy_mean = 0;
  double accuracy_std = 0;
  double macro_f1 = 0;
  std::vector<std::vector<int>> confusion;
  struct PerClass {
    std::string category;
    double precision, recall, f1;
    int support;
  };
  std::vector<PerClass> per_class;
};
std::vector<ClassifierCase> classifier_cases();

}  // namespace moexray::test
