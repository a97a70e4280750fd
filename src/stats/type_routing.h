#pragma once

#include <span>
#include <vector>

#include "fold_models.h"
#include "moexray/stats/routed_tokens.h"

namespace moexray::stats {

/// Signatures of the tokens whose type the other prompts know, as observed and as the types alone
/// would have them.
struct TypeSignatures {
  Matrix observed;  ///< [n_train + n_test, L·E] training rows first
  Matrix expected;  ///< the same
  Vector coverage;  ///< [n_train + n_test] share of the selected tokens that were used
};

/// How each token type is routed, prompt by prompt.
///
/// A token of type v in prompt i is used if v occurs at least `min_count` times in the training
/// prompts other than i. m_v(−i) is the mean selection of these occurrences, [L·E] zeros and ones
/// averaged. Over the used tokens of prompt i, observed = Σ selections / (k·T), expected = Σ
/// m_{v(t)}(−i) / (k·T): the same tokens in both. A prompt without a used token has the training
/// mean in both.
class TypeRouting {
 public:
  /// Selected tokens only. @throws Error (data) if one has no id.
  TypeRouting(const RoutedTokens& tokens, int min_count);

  TypeSignatures signatures(const SplitRows& rows) const;
  /// tf-idf of the tokens' types, rows of unit length: count · (ln((1 + n) / (1 + df)) + 1), with n
  /// training prompts of which df have the type. Types that no training prompt has are left out.
  Matrix tf_idf(const SplitRows& rows) const;

  int min_count() const { return min_count_; }

 private:
  struct Occurrence {
    int type = 0;
    int count = 0;
    int place = -1;  // row of selections_; −1: the type occurs too seldom anywhere
  };
  using Counts = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  void add_prompt(const RoutedTokens& tokens, std::size_t prompt, const std::vector<int>& types);

  int min_count_;
  int n_types_ = 0;
  int top_k_ = 1;
  std::vector<std::vector<Occurrence>> prompts_;  // [n] by type, ascending
  Counts selections_;                             // [places, L·E] summed over a prompt's tokens
};

}  // namespace moexray::stats
