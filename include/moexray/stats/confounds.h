#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "moexray/stats/compared_prompts.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/work.h"

namespace moexray::stats {

struct ConfoundsOptions {
  int n_folds = 5;             ///< 4 to 64
  int n_repetitions = 25;      ///< of nested cross-validation; 0: no intervals
  int n_permutations = 1000;   ///< of the labels, for the verdict; 0: no verdict
  int min_type_count = 5;      ///< times a token type must occur in other training prompts
  double min_coverage = 0.25;  ///< mean share of a prompt's tokens below which nothing is concluded
  std::uint64_t seed = 0;
  std::vector<std::string> groups = {};  ///< [n] or empty, see make_units
  /// [n, L·E] signatures of the prompts' own tokens after a re-trace in shuffled order; empty: none
  Matrix shuffled = {};
  int n_threads = 1;  ///< does not change the result
  Work work = {};     ///< confounds_steps steps
};

/// The held-out accuracy that some features allow.
struct FeatureAccuracy {
  std::string name;         ///< "signature", "token_unigrams", …
  std::string title;        ///< for people
  double mean = undefined;  ///< over prompts and repetitions of K-fold cross-validation
  std::array<double, 2> ci95 = {undefined, undefined};  ///< nested cross-validation
  /// Mean share of a held-out prompt's tokens that could be used, for the sets that use some only.
  double coverage = undefined;
  std::string left_out;  ///< why it is missing; empty: it is there
};

/// A paired difference of accuracies, under the same folds.
struct AccuracyDifference {
  std::string name;  ///< "signature − token_unigrams"
  double mean = undefined;
  std::array<double, 2> ci95 = {undefined, undefined};
};

enum class Outcome { adds, no_evidence, cannot_tell };

struct ConfoundsVerdict {
  Outcome outcome = Outcome::cannot_tell;
  double p_value = undefined;
  /// The accuracy above chance that this test finds four times out of five.
  double smallest_detectable = undefined;
  double accuracy = undefined;  ///< of the decisive rung, under the folds of the seed
  double chance = undefined;    ///< its mean under permuted labels
  std::int64_t n_permutations = 0;
  std::string reason;  ///< for cannot_tell: what is missing
};

/// The accuracy that remains once something is held fixed, on the compared positions.
struct LadderRung {
  std::string name;   ///< "types_and_positions"
  std::string title;  ///< for people
  std::vector<std::string> held_fixed;
  double accuracy = undefined;  ///< under the folds of the seed
  double coverage =
      undefined;             ///< mean share of a held-out prompt's compared tokens that were used
  bool is_decisive = false;  ///< the verdict is on this one; the others claim nothing
  std::string left_out;      ///< why it is missing; empty: it is there
};

/// What remains of the categories in the routing of the first tokens of every prompt, as more and
/// more is held fixed.
struct Ladder {
  std::vector<LadderRung> rungs;  ///< none where nothing can be compared
  ConfoundsVerdict verdict;       ///< on the decisive rung
  std::string positions;          ///< "first 12 prompt tokens": what is compared; or empty

  /// The rung that the verdict is on; null where nothing can be compared.
  const LadderRung* decisive() const {
    for (const LadderRung& rung : rungs) {
      if (rung.is_decisive) return &rung;
    }
    return nullptr;
  }
};

struct ConfoundsResult {
  std::vector<FeatureAccuracy> features;
  std::vector<AccuracyDifference> differences;
  Ladder ladder;
  std::int64_t n_prompts = 0;
  std::int64_t n_units = 0;
  std::vector<std::string> notices;
};

/// Does routing tell the category of a prompt beyond what its length, its words and the template
/// do? Every feature set is classified by the same pipeline: logistic regression whose penalty is
/// chosen from one grid inside the training folds.
///
/// The verdict is that of the ladder(). The other numbers are of all tokens, are shown and decide
/// nothing.
/// @param tokens of the same prompts, in the order of the signatures
/// @param compared of these: what the verdict compares
/// @throws Error (data) with fewer than two categories or prompts without one; (interrupted). What
///         is missing otherwise is said in the result.
ConfoundsResult confounds(const Signatures& signatures, const RoutedTokens& tokens,
                          const ComparedPrompts& compared, const ConfoundsOptions& options);

/// How well a classifier tells the category from the routing of the compared positions, and from
/// what is left of it once token types, then also their positions and part, are held fixed: fitted
/// jointly, by least squares over the tokens of other training prompts. On the latter rests the
/// verdict, a permutation test of its accuracy: the whole pipeline is repeated for every
/// relabelling (labels_permuted_within_folds). Two further rungs take off what goes with the
/// previous token's type and with the mean of the earlier tokens' types; they do not hold their
/// level everywhere and have no test.
/// @param options of which repetitions, groups and shuffled signatures play no part
/// @throws Error (interrupted)
Ladder ladder(const RoutedTokens& tokens, const ComparedPrompts& compared,
              const ConfoundsOptions& options);

/// The options with fewer repetitions and permutations where there are many prompts, features or
/// categories: as many as 3·10¹⁰ operations allow of each, at most what is asked for, at least 99
/// permutations; below five repetitions none. Nothing where even that takes minutes.
std::optional<ConfoundsOptions> affordable(const ConfoundsOptions& options,
                                           const Signatures& signatures);

/// The steps that Work will hear of at most.
std::int64_t confounds_steps(const ConfoundsOptions& options);

/// The steps of a ladder alone.
std::int64_t ladder_steps(const ConfoundsOptions& options);

/// "adds", "no evidence" or "cannot tell".
const char* name_of(Outcome outcome);

}  // namespace moexray::stats
