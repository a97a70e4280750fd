#pragma once

#include <cstdint>
#include <string>

#include "moexray/stats/compared_prompts.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

struct AccuracyTestOptions {
  int n_folds = 5;           ///< stratified, shuffled; groups stay together
  int n_permutations = 199;  ///< 0: no test
  double c = 1;              ///< of the logistic regression, as for classify()
  std::uint64_t seed = 0;
  int n_threads = 1;  ///< does not change the result
  Work work = {};     ///< a step is a permutation
};

/// Does a classifier know the category of prompts that it has not seen better than chance lets it?
struct AccuracyTest {
  double accuracy = undefined;  ///< of all held-out predictions
  double chance = undefined;    ///< its mean under permuted labels
  double p_value = undefined;   ///< (1 + permutations that reach it) / (1 + permutations)
  int n_permutations = 0;
  std::string left_out = {};  ///< why there is no test; empty with it
};

/// The classifier of classify() on the compared prompts, whose signatures are of equal numbers of
/// tokens: over all tokens it would know categories by their lengths. Labels are permuted within
/// the folds (labels_permuted_within_folds), and the whole cross-validation is repeated for each
/// permutation.
/// @throws Error (interrupted). What cannot be tested is no error: see `left_out`.
AccuracyTest test_accuracy(const ComparedPrompts& compared, const AccuracyTestOptions& options);

/// The options with as many permutations as 10¹⁰ operations allow, at most what is asked for; none
/// where fewer than 99 are possible.
AccuracyTestOptions affordable(const AccuracyTestOptions& options, const Signatures& signatures);

}  // namespace moexray::stats
