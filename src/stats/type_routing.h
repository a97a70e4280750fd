#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fold_models.h"
#include "moexray/stats/common_positions.h"
#include "moexray/stats/routed_tokens.h"

namespace moexray::stats {

/// Signatures of the tokens whose type the other prompts know, as observed and as the other prompts
/// would have them.
struct TypeSignatures {
  Matrix observed;  ///< [n_train + n_test, L·E] training rows first
  Matrix expected;  ///< the same
  Vector coverage;  ///< [n_train + n_test] share of the compared tokens that were used
};

/// What every token is to a comparison of its routing with that of its type.
struct TokenRoles {
  /// [T] the kind of place that it stands at, 0 … n_cells − 1; −1: it is not looked at.
  std::vector<int> cell;
  int n_cells = 1;
  std::vector<bool> compared;  ///< [T] part of the signatures; empty: all that have a cell
};

/// Selected tokens, all places alike.
TokenRoles selected_roles(const RoutedTokens& tokens);

/// Selected tokens without the template's, of which those at the positions are compared.
/// @param by_place cells are the part (prompt, generated) and the place in it, counted without
///        template tokens, in bins of 1, 1, 2, 4, 8, … tokens; false: all places alike
TokenRoles position_roles(const RoutedTokens& tokens, const CommonPositions& positions,
                          bool by_place);

/// What a token's routing may follow beside its own type.
enum class Context {
  previous_token,  ///< the type of the token before it, where that is known
  earlier_tokens   ///< the mean of the earlier tokens' types
};

class CellEquations;

/// How token types are routed, prompt by prompt.
///
/// Selections [L·E, zeros and ones] of the tokens of the training prompts other than i are fitted
/// by least squares as α_{type} + β_{cell}, one coefficient for each type and each cell; with one
/// cell α is the mean selection of a type. A token of type v in prompt i is used if v occurs at
/// least `min_count` times in these prompts and, of several cells, if the data tie each cell that
/// prompt i has v in to v (through types that share cells), so that α + β is determined. Over the
/// used tokens of prompt i, observed = Σ selections / (k·T), expected = Σ (α + β) / (k·T): the same
/// tokens in both. A prompt without a used token has the training mean in both.
///
/// The types are eliminated from the normal equations (β is the solution of a graph Laplacian of
/// the cells), and leaving out a prompt takes its terms off the sums: no prompt is fitted anew.
class TypeRouting {
 public:
  /// @throws Error (data) if a token with a cell has no id.
  TypeRouting(const RoutedTokens& tokens, const TokenRoles& roles, int min_count);
  TypeRouting(const RoutedTokens& tokens, int min_count)
      : TypeRouting(tokens, selected_roles(tokens), min_count) {}

  TypeSignatures signatures(const SplitRows& rows) const;
  /// The same for x in place of the selections: of each token the mean routing, in the training
  /// prompts other than i, of the type before it or of the types before it. Types with fewer than
  /// `min_count` occurrences there are skipped; where none is left x is the mean of all tokens.
  TypeSignatures contexts(const SplitRows& rows, Context context) const;
  /// tf-idf of the tokens' types, rows of unit length: count · (ln((1 + n) / (1 + df)) + 1), with n
  /// training prompts of which df have the type. Types that no training prompt has are left out.
  Matrix tf_idf(const SplitRows& rows) const;

  int min_count() const { return min_count_; }

 private:
  struct Occurrence {
    int type = 0;
    int count = 0;       // tokens with a cell
    int n_compared = 0;  // of these
    int place = -1;      // row of sums; −1: the type occurs too seldom anywhere
  };
  struct CellCount {
    int occurrence = 0;  // of the prompt
    int cell = 0;
    int count = 0;
    int n_compared = 0;
  };
  struct Token {
    int occurrence = -1;  // of the prompt; −1: it has no cell
    int cell = -1;
    bool compared = false;
  };
  struct Prompt {
    std::vector<Occurrence> types;  // ascending
    std::vector<CellCount> cells;   // by occurrence; empty with one cell
    std::vector<Token> tokens;      // in the order of the prompt
  };
  using Sums = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  // What is fitted, summed over tokens.
  struct Fitted {
    Sums of_place;     // [places, L·E] a prompt's tokens of a type
    Sums compared;     // the same, of those compared; empty: of_place
    Sums of_cell;      // [n · cells, L·E] a prompt's tokens in a cell that have a place
    double scale = 1;  // what a token's values sum to in a layer
  };
  struct Training;
  // A type of a prompt, by cell.
  struct CellTerms {
    Vector others;    // [cells] tokens of it in the other training prompts
    Vector compared;  // [cells] the prompt's own that are compared
  };

  void add_prompt(const RoutedTokens& tokens, const TokenRoles& roles, std::size_t prompt,
                  const std::vector<int>& types, const std::vector<int>& totals);
  template <typename Add>
  void add_token(Fitted& fitted, std::size_t prompt, const Token& token, Add add) const;
  Fitted empty_fit() const;
  TypeSignatures fit(const SplitRows& rows, const Fitted& fitted) const;
  Training train(const std::vector<Eigen::Index>& rows, const Fitted& fitted) const;
  Vector cell_weights(const Prompt& prompt, bool trains, const Training& training,
                      const CellEquations& whole, const std::vector<int>& n_others,
                      std::vector<bool>& used, std::vector<CellTerms>& terms) const;

  int min_count_;
  int n_types_ = 0;
  int n_cells_ = 1;
  int n_places_ = 0;
  int n_layers_ = 1;
  Eigen::Index n_columns_ = 0;
  bool compares_all_ = true;
  std::vector<Prompt> prompts_;  // [n]
  Fitted selections_;
};

}  // namespace moexray::stats
