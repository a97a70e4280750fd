#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moexray/core/routing.h"
#include "moexray/stats/selection.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

/// A token of a prompt, and whether the selection counts it.
struct RoutedToken {
  std::int64_t pos = 0;
  TokenId id = -1;  ///< −1: not recorded
  TokenType type = TokenType::prompt;
  bool is_template = false;
  bool selected = true;  ///< what Selection::counts says of it
};

/// The routing of every single token, for analyses that resample tokens or look at them one by one.
/// Tokens outside the selection are kept as well, marked.
struct RoutedTokens {
  RoutingShape shape;
  std::vector<std::size_t> first;      ///< [n + 1] row i of the signatures has the tokens first[i]
                                       ///< … first[i + 1] − 1, by position
  std::vector<RoutedToken> tokens;     ///< [T]
  std::vector<std::uint16_t> experts;  ///< [T, L, k]
  /// [T, L, k] each expert's share of the weight of its token's experts, in steps of 1/65,535;
  /// empty: not kept, or some record has no weights.
  std::vector<std::uint16_t> weight_shares = {};
  /// [T, L, n_next] the experts that were not chosen, those of the largest logits; empty: not kept,
  /// or some record has no logits.
  std::vector<std::uint16_t> next_experts = {};
  /// [T, L] as they: the least probability of a chosen expert less the largest of another, in the
  /// softmax of all logits.
  std::vector<float> margins = {};

  std::size_t n_prompts() const { return first.empty() ? 0 : first.size() - 1; }
  std::span<const RoutedToken> of_prompt(std::size_t row) const {
    return std::span(tokens).subspan(first[row], first[row + 1] - first[row]);
  }
  /// The experts of one token at one layer, [k], in the router's order.
  std::span<const std::uint16_t> at(std::size_t token, int layer) const {
    const auto k = static_cast<std::size_t>(shape.top_k);
    return std::span(experts).subspan(place_of(token, layer) * k, k);
  }
  /// The same of `weight_shares`, which there must be.
  std::span<const std::uint16_t> weights_at(std::size_t token, int layer) const {
    const auto k = static_cast<std::size_t>(shape.top_k);
    return std::span(weight_shares).subspan(place_of(token, layer) * k, k);
  }
  /// [n_next] the same of `next_experts`, which there must be.
  std::span<const std::uint16_t> next_at(std::size_t token, int layer) const {
    return std::span(next_experts).subspan(place_of(token, layer) * n_next(), n_next());
  }
  /// The number of a token at a layer among all [T, L].
  std::size_t place_of(std::size_t token, int layer) const {
    return token * static_cast<std::size_t>(shape.n_layers) + static_cast<std::size_t>(layer);
  }
  /// How many experts next_at() has: k, or E − k if that is less.
  std::size_t n_next() const {
    return static_cast<std::size_t>(std::min(shape.top_k, shape.n_experts - shape.top_k));
  }
  /// True if every selected token has an id.
  bool has_ids() const;
};

/// The same with the first k experts of each token alone, of which there must be as many: what a
/// router of that k would choose. Without margins and experts that come next.
RoutedTokens first_experts(const RoutedTokens& tokens, int k);

/// What TokenAccumulator keeps beside experts.
struct KeptOfTokens {
  bool weights = false;
  bool logits = false;  ///< what next_experts and margins say of them
};

/// Collects routed tokens from a stream of routing records, in any order within a prompt.
class TokenAccumulator {
 public:
  /// @throws Error (data) if the shape is impossible or has more than 65,536 experts.
  TokenAccumulator(const RoutingShape& shape, std::size_t n_prompts, Selection selection,
                   KeptOfTokens kept = {});

  /// Calls for different prompts may come from different threads at the same time.
  /// @throws Error (data) for an index, layer, position or expert out of range, or a number of
  ///         experts that is not k, of kept weights other than k or 0, of logits other than E or 0.
  /// @param logits [E] of the router, or empty
  void add(std::size_t prompt, const RoutingRecord& record, std::span<const float> logits = {});

  /// The tokens of the prompts that have a signature, in the order of its rows. The accumulator is
  /// used up.
  /// @throws Error (data) if a token has no record at some layer, or two.
  RoutedTokens finish(const Signatures& signatures) &&;

 private:
  // Where a record belongs.
  struct Entry {
    std::int32_t pos = 0;
    std::int32_t layer = 0;
    auto operator<=>(const Entry&) const = default;
  };
  // In the order in which records came: most come in order, and then nothing is sorted.
  struct Prompt {
    std::vector<Entry> entries;
    std::vector<RoutedToken> tokens;  // of the records of layer 0
    std::vector<std::uint16_t> experts;
    std::vector<std::uint16_t> weight_shares;
    std::vector<std::uint16_t> next_experts;
    std::vector<float> margins;
  };

  void check(std::size_t prompt, const RoutingRecord& record, std::span<const float> logits) const;
  void add_logits(const RoutingRecord& record, std::span<const float> logits, Prompt& target) const;
  void append(Prompt prompt, const std::string& id, RoutedTokens& result) const;

  RoutingShape shape_;
  Selection selection_;
  KeptOfTokens kept_;
  std::vector<Prompt> prompts_;
};

}  // namespace moexray::stats
