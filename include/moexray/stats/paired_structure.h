#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "moexray/stats/bootstrap.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/paired.h"
#include "moexray/stats/paired_prompts.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

struct PairedStructureOptions {
  int n_folds = 5;            ///< 4 to 64
  int n_repetitions = 10;     ///< of nested cross-validation; fewer for many prompts
  int n_resamples = 1999;     ///< of the bootstrap; fewer for many prompts
  int n_permutations = 9999;  ///< exchanges of rows; fewer for many prompts
  bool exchange_rows = true;  ///< experts of both may be taken for each other
  std::uint64_t seed = 0;
  int n_threads = 1;  ///< does not change the result
  Work work = {};     ///< paired_structure_steps() steps
};

/// How well categories are separated in two routings of the same prompts.
struct PairedNumber {
  std::string name;         ///< "gap", "cohens_d", "auc", "r_squared", "accuracy"
  PairedEstimate estimate;  ///< difference: second − first
  PairedTest test;          ///< undefined where rows may not be exchanged, and for the accuracy
};

/// Held-out accuracy of a classifier that is trained on the prompts' signatures in one routing and
/// told those of other prompts in one.
struct TransferCell {
  int train = 0;  ///< 0: first, 1: second
  int test = 0;
  double accuracy = undefined;                          ///< mean over prompts and repetitions
  std::array<double, 2> ci95 = {undefined, undefined};  ///< nested cross-validation
};

enum class TransferFeatures { signatures, similarities };

struct PairedStructure {
  std::vector<PairedNumber> numbers;   ///< in the order of their names above
  std::vector<TransferCell> transfer;  ///< [4]: trained, tested on 0 0, 0 1, 1 0, 1 1; or none
  TransferFeatures features = TransferFeatures::signatures;
  double chance = undefined;  ///< share of the largest category
  std::vector<std::string> notices;

  /// The number of that name; null if there is none.
  const PairedNumber* find(const std::string& name) const;
};

/// Do two routings separate the categories equally well, and does a classifier of one know the
/// categories in the other?
///
/// Differences: bootstrap_difference(). p: exchanging the rows of the two routings of any subset of
/// units, which changes nothing in distribution if both route a prompt alike; it needs that an
/// expert of one is an expert of the other (`exchange_rows`), since similarities between rows of
/// both are taken. Pairs of prompts inside a unit count in nothing.
///
/// Accuracy: the pipeline of confounds() (a penalty of one grid chosen inside the training folds),
/// nested cross-validation under the same folds. Transfer: the training prompts' rows are those of
/// one routing and the other prompts' rows those of one, so that no prompt is on both sides. The
/// features are the signatures where `exchange_rows`. Otherwise they are "relative": the
/// similarities of a prompt to every training prompt in its own routing (Moschella et al., 2023,
/// Relative representations enable zero-shot latent space communication), standardised there by
/// those of the training prompts; a training prompt's with itself is left out (its mean instead).
/// @param prompts on equal numbers of tokens, with two categories at least (see tested_pair())
/// What the design does not allow (a category in fewer units than folds) is said in `notices`.
/// @throws Error (interrupted)
PairedStructure paired_structure(const PairedPrompts& prompts,
                                 const PairedStructureOptions& options);

/// The steps that Work will hear of.
std::int64_t paired_structure_steps(const PairedPrompts& prompts,
                                    const PairedStructureOptions& options);

}  // namespace moexray::stats
