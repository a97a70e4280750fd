#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/routing.h"

namespace moexray {

/// Which experts one sequence was routed to, without their order and weights: a bit an expert.
/// Filled layer by layer as a RouterTap sees it.
class ExpertSets {
 public:
  ExpertSets() = default;
  /// @throws Error (data) for a shape that is not 1 ≤ k ≤ E ≤ 65,536, L ≥ 1.
  explicit ExpertSets(const RoutingShape& shape);

  /// The sets that bytes() gave for `n_positions` tokens.
  /// @throws Error (data) for another number of bytes, a set that does not have k experts, or
  /// experts that do not exist.
  static ExpertSets from_bytes(const RoutingShape& shape, std::int64_t n_positions,
                               std::string_view bytes);

  /// Appends the next tokens of the sequence at one layer; experts [n_rows, k].
  /// @throws Error (runtime) for a layer or a span that does not fit, Error (data) for an expert
  /// that does not exist or comes twice.
  void append(int layer, std::int64_t n_rows, std::span<const ExpertId> experts);

  const RoutingShape& shape() const { return shape_; }
  /// Of one set: ⌈E/8⌉.
  std::size_t bytes_per_set() const;
  std::int64_t n_positions() const;  ///< tokens that every layer has
  bool is_rectangular() const;       ///< every layer has the same number of tokens

  /// [L, T, ⌈E/8⌉]: expert e of a set is bit e mod 8 (1 << …) of its byte e / 8.
  std::string bytes() const;

  /// The experts of a token at a layer, ascending. @param experts [k]
  void read(int layer, std::int64_t pos, std::span<std::uint16_t> experts) const;

 private:
  RoutingShape shape_;
  std::vector<std::string> layers_;
};

}  // namespace moexray
