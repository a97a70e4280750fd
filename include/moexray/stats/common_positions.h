#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/selection.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/units.h"

namespace moexray::stats {

/// Whether categories can be compared at all, and if not, what is missing.
enum class Comparability {
  comparable,
  no_tokens,      ///< the routing of single tokens was not kept
  no_categories,  ///< some prompt has no category
  one_category,
  too_few_units,   ///< a category has too few units, whatever their lengths
  no_relabelling,  ///< exchanging labels changes nothing
  lengths,         ///< too few tokens in common, or a category loses too many units to length
};

/// "comparable", "no tokens", …
std::string name_of(Comparability outcome);

struct CommonPositionsOptions {
  double share = 0.9;           ///< of all prompts that must have the tokens
  std::int64_t n_tokens = 0;    ///< m, chosen by hand before looking at results; 0: by the rule
  std::int64_t min_tokens = 8;  ///< fewer tell nothing
  std::size_t min_units = 5;    ///< that each category must keep
  bool keeps_small = false;     ///< a category of fewer units may be compared if it keeps all
};

/// The token positions that tests of labels compare: the first m tokens of every prompt, in its
/// prompt without template tokens or in what was generated. Prompts of unequal length differ in
/// their routing even where a router treats all categories alike, since routing depends on the
/// position and the share of a few tokens scatters more than that of many.
///
/// m is the largest number of tokens that at least `share` of all prompts have: chosen from the
/// lengths alone, never from labels, and used whether lengths differ or not. Shorter prompts are
/// left out.
struct CommonPositions {
  TokenType part = TokenType::prompt;  ///< whose tokens
  std::int64_t n_tokens = 0;           ///< m
  std::vector<std::size_t> rows;       ///< [n'] rows of the signatures that have them, ascending
  std::size_t n_short = 0;             ///< prompts left out
  bool is_whole = false;               ///< all of the prompts' tokens, m each, and of both parts

  /// "first 12 prompt tokens", "all 32 tokens".
  std::string text() const;
};

/// The part that is compared under a selection: generated tokens where only these are selected,
/// or recorded, else the prompts', in which a model's own choices play no part.
TokenType compared_part(const RoutedTokens& tokens, TokenSelection selection);

/// True for a token of the part that is not the template's.
bool is_comparable(const RoutedToken& token, TokenType part);

/// How many tokens of the part each prompt has: generated ones, or prompt tokens without the
/// template's. [n]
std::vector<std::int64_t> comparable_tokens(const RoutedTokens& tokens, TokenType part);

CommonPositions common_positions(const RoutedTokens& tokens, TokenType part,
                                 const CommonPositionsOptions& options = {});

/// A on the common positions, a row for each prompt that has them. [n', L·E]
CountMatrix common_counts(const RoutedTokens& tokens, const CommonPositions& positions);

/// The signatures of the prompts that have the common positions, over these positions alone:
/// what tests of the gap, of layers and of location take in place of those of whole prompts.
Signatures common_signatures(const RoutedTokens& tokens, const Signatures& signatures,
                             const CommonPositions& positions);

/// A verdict on comparability, and in words why not.
struct ComparabilityCheck {
  Comparability outcome = Comparability::comparable;
  std::string reason;  ///< empty if comparable
  /// The most tokens at which every category would keep enough units; 0: there is no such number.
  std::int64_t n_possible = 0;

  bool comparable() const { return outcome == Comparability::comparable; }
};

/// May labels be tested on these positions? Not with fewer than min_tokens tokens, nor where a
/// category keeps fewer than min_units units (with `keeps_small`: fewer than it had, if these are
/// less).
ComparabilityCheck check_comparability(const RoutedTokens& tokens, const CommonPositions& positions,
                                       const CategoryIndex& categories, const Units& units,
                                       const CommonPositionsOptions& options = {});

}  // namespace moexray::stats
