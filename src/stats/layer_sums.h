#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moexray/stats/agreement.h"
#include "moexray/stats/rates.h"

namespace moexray::stats {

/// @throws Error (data) unless both have the same number of layers and experts
void check_shapes(const RoutedTokens& first, const RoutedTokens& second);

/// A numerator and a denominator of a ratio for each unit.
using UnitSums = std::vector<UnitCount>;

/// An aligned token, for what goes by types.
struct TypeToken {
  TokenId type = 0;
  int unit = 0;
  AlignedToken token;
  std::size_t number = 0;  ///< among all aligned tokens
};

/// All aligned tokens by type, then unit; none where ids are not known.
std::vector<TypeToken> tokens_by_type(const RoutedTokens& first, const Alignment& alignment);

/// Which experts of a layer one token has.
class Membership {
 public:
  explicit Membership(std::size_t n_experts) : is_member_(n_experts) {}

  void set(std::span<const std::uint16_t> experts) {
    for (const std::uint16_t expert : members_) is_member_[expert] = 0;
    members_ = experts;
    for (const std::uint16_t expert : members_) is_member_[expert] = 1;
  }
  bool has(std::uint16_t expert) const { return is_member_[expert] != 0; }
  int n_of(std::span<const std::uint16_t> experts) const {
    int n = 0;
    for (const std::uint16_t expert : experts) n += is_member_[expert];
    return n;
  }

 private:
  std::vector<char> is_member_;
  std::span<const std::uint16_t> members_;
};

/// The sums over units that agreement and its chance levels at one layer are computed from.
class LayerSums {
 public:
  LayerSums(const RoutedTokens& first, const RoutedTokens& second, const Alignment& alignment,
            int first_layer, int second_layer);

  std::span<const std::uint16_t> a(const AlignedToken& token) const {
    return first_.at(token.first, first_layer_);
  }
  std::span<const std::uint16_t> b(const AlignedToken& token) const {
    return second_.at(token.second, second_layer_);
  }
  /// [T] how many experts the aligned tokens have in common, in their order.
  std::span<const std::uint16_t> overlaps() const { return overlaps_; }

  /// Agreement and tokens.
  UnitSums overlap() const;

  /// Disagreement of a unit and what chance would give, Σ_t (1 − c_t), over the same tokens.
  struct Corrected {
    UnitSums sums;
    double n_tokens = 0;
    double chance = 0;  ///< Σ c_t
  };
  /// Of a chance that is the same for all tokens.
  Corrected constant(double chance) const;

  struct OfCounts {
    double popularity = 0;  ///< Σ_e π^A_e π^B_e / k
    Corrected same_prompt;
  };
  /// The levels that how often each prompt selects each expert decides.
  OfCounts of_counts() const;

  /// @param tokens as tokens_by_type() sorts them
  Corrected same_type(std::span<const TypeToken> tokens, int min_count) const;

 private:
  static void add(Corrected& result, int unit, double n, double agreement, double chance);

  const RoutedTokens& first_;
  const RoutedTokens& second_;
  const Alignment& alignment_;
  int first_layer_;
  int second_layer_;
  std::size_t n_experts_;
  double k_;
  std::vector<std::uint16_t> overlaps_;
};

}  // namespace moexray::stats
