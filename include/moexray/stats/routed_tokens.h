#pragma once

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

  std::size_t n_prompts() const { return first.empty() ? 0 : first.size() - 1; }
  std::span<const RoutedToken> of_prompt(std::size_t row) const {
    return std::span(tokens).subspan(first[row], first[row + 1] - first[row]);
  }
  /// The experts of one token at one layer, [k], in the router's order.
  std::span<const std::uint16_t> at(std::size_t token, int layer) const {
    const auto k = static_cast<std::size_t>(shape.top_k);
    return std::span(experts).subspan(
        (token * static_cast<std::size_t>(shape.n_layers) + static_cast<std::size_t>(layer)) * k,
        k);
  }
  /// True if every selected token has an id.
  bool has_ids() const;
};

/// Collects routed tokens from a stream of routing records, in any order within a prompt.
class TokenAccumulator {
 public:
  /// @throws Error (data) if the shape is impossible or has more than 65,536 experts.
  TokenAccumulator(const RoutingShape& shape, std::size_t n_prompts, Selection selection);

  /// Calls for different prompts may come from different threads at the same time.
  /// @throws Error (data) for an index, layer, position or expert out of range, or a number of
  ///         experts that is not k.
  void add(std::size_t prompt, const RoutingRecord& record);

  /// The tokens of the prompts that have a signature, in the order of its rows. The accumulator is
  /// used up.
  /// @throws Error (data) if a token has no record at some layer, or two.
  RoutedTokens finish(const Signatures& signatures) &&;

 private:
  struct Entry {
    RoutedToken token;
    int layer = 0;
    std::size_t place = 0;  // of its experts
  };
  struct Prompt {
    std::vector<Entry> entries;
    std::vector<std::uint16_t> experts;
  };

  void append(Prompt prompt, const std::string& id, RoutedTokens& result) const;

  RoutingShape shape_;
  Selection selection_;
  std::vector<Prompt> prompts_;
};

}  // namespace moexray::stats
