#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/stats/common_positions.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/selection.h"
#include "moexray/stats/signatures.h"
#include "moexray/stats/units.h"

namespace moexray::stats {

/// The prompts that two routings have in common, row by row. The routings may be of models of
/// different shapes.
struct PairedPrompts {
  Signatures first;                      ///< [n]
  Signatures second;                     ///< [n] row i is the prompt that row i of the first is
  std::vector<std::string> groups = {};  ///< [n] or empty: every prompt is a unit
  /// Of the first side. Where some prompt has no category, all have one without a name.
  CategoryIndex categories = {};
  Units units = {};
  /// The selected tokens of these prompts. With `same_tokens` both have the same ones, in the same
  /// order; without tokens: there are only counts.
  RoutedTokens first_tokens = {};
  RoutedTokens second_tokens = {};
  bool same_tokens = false;
  std::size_t n_shared = 0;  ///< prompts in common; more than there are rows where a part was drawn

  std::size_t size() const { return first.size(); }
  bool has_tokens() const { return first_tokens.n_prompts() > 0 && second_tokens.n_prompts() > 0; }
  bool has_categories() const { return !categories.names.front().empty(); }
  /// The same layers, each with as many experts.
  bool same_shape() const;
};

struct PairedPromptsOptions {
  /// Of more prompts in common so many are taken, whole groups as long as there is room, in an
  /// order that depends on the seed and the names alone.
  std::size_t max_prompts = 2000;
  std::uint64_t seed = 0;
  double min_share =
      0.5;  ///< of the tokens that must be the same; with fewer `same_tokens` is false
};

/// Pairs the prompts by their ids. Where the tokens of both are the same (align(): by position, up
/// to the first that differs), only those count that both have, and signatures are over these.
/// @param first_tokens without prompts: there are only counts
/// @param second_tokens likewise
/// @param groups [rows of the first] or empty
/// @throws Error (data) if there is no prompt in common
PairedPrompts paired_prompts(const Signatures& first, const RoutedTokens& first_tokens,
                             const Signatures& second, const RoutedTokens& second_tokens,
                             std::span<const std::string> groups,
                             const PairedPromptsOptions& options);

/// The same with these rows alone.
/// @param rows ascending
PairedPrompts rows_of(const PairedPrompts& pair, std::span<const std::size_t> rows);

/// Both routings on equal numbers of tokens of every prompt: what is tested.
struct TestedPair {
  PairedPrompts prompts;             ///< without rows if there is a reason
  CommonPositions first_positions;   ///< of the first
  CommonPositions second_positions;  ///< the same where tokens are
  std::string reason;                ///< why nothing can be tested; empty: it can

  bool is_testable() const { return reason.empty(); }
  /// "first 12 prompt tokens of 76 of 80 prompts"
  std::string text() const;
  std::size_t n_prompts = 0;  ///< before short ones were left out

  /// A block of halves, or the largest that these positions have two of.
  int fitting_block(int block) const;
};

/// The prompts' common positions (common_positions.h) in both, and the prompts that have them. Of
/// counts all prompts, if all have the same number of tokens.
TestedPair tested_pair(const PairedPrompts& pair, TokenSelection selection,
                       const CommonPositionsOptions& options = {});

/// Why the categories of a pair cannot be compared; empty: they can.
std::string obstacle_to_categories(const TestedPair& tested,
                                   const CommonPositionsOptions& options = {});

/// Unit blocks of both halves of the tokens of every prompt.
struct TokenHalves {
  Matrix first;   ///< [n, L·E] unit_blocks
  Matrix second;  ///< [n, L·E]
};

/// Divides the tokens of every prompt into two halves by alternating blocks of `block` tokens.
/// @returns no rows if a prompt has no token in one of the halves
TokenHalves token_halves(const RoutedTokens& tokens, int block);

/// How many tokens it takes until routing has forgotten: the smallest lag b ≥ 1 at which κ(b) =
/// (O_b − c) / (1 − c) < 0.05 on average over layers, O_b the overlap of tokens b apart, c that of
/// all pairs of tokens of a prompt; 16 where none is below that.
int forgetting_lag(const RoutedTokens& tokens);

/// The rows with more than `block` tokens: enough for token_halves().
std::vector<std::size_t> rows_with_halves(const PairedPrompts& pair, int block);

/// Exchanges of whole units, each with one that has as many prompts and, if `within_categories`,
/// the same categories. The pair must outlive it.
class RowPermutations {
 public:
  RowPermutations(const PairedPrompts& pair, bool within_categories);

  /// A random one: [n] the row that stands in place of each.
  std::vector<std::size_t> draw(RandomStream& random) const;
  /// log of the number of different ones.
  double log_number() const;
  /// True if there are enough of them for a p-value of 0.05.
  bool allow_test() const;

 private:
  const PairedPrompts& pair_;
  std::vector<std::vector<std::size_t>> exchangeable_;  ///< sets of units
};

}  // namespace moexray::stats
