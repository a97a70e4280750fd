#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moexray/core/routing.h"

namespace moexray {

/// The routing of one sequence, kept compactly until it is written: 6 bytes an event (and 4·E bytes
/// a token and layer if logits are kept). Filled layer by layer as a RouterTap sees it.
class RoutingBuffer {
 public:
  RoutingBuffer() = default;
  /// @param with_weights false where a source has no router weights
  /// @throws Error (data) for a shape that is not 1 ≤ k ≤ E ≤ 65,536, L ≥ 1.
  RoutingBuffer(const RoutingShape& shape, bool with_logits, bool with_weights = true);

  /// Makes room for `n_positions` tokens.
  void reserve(std::int64_t n_positions);

  /// Appends the next tokens of the sequence at one layer. experts and weights are [n_rows, k] with
  /// ids in [0, E); logits are [n_rows, E]. Weights and logits may be anything if the buffer keeps
  /// none.
  /// @throws Error (runtime) for spans of the wrong size, Error (data) for ids out of range.
  void append(int layer, std::int64_t n_rows, std::span<const ExpertId> experts,
              std::span<const float> weights = {}, std::span<const float> logits = {});

  const RoutingShape& shape() const { return shape_; }
  bool has_weights() const { return with_weights_; }
  bool has_logits() const { return with_logits_; }
  /// Tokens that every layer has.
  std::int64_t n_positions() const;
  /// True if every layer has the same number of tokens.
  bool is_rectangular() const;

  std::span<const std::uint16_t> experts(int layer, std::int64_t pos) const;  ///< [k]
  std::span<const float> weights(int layer, std::int64_t pos) const;  ///< [k], empty: not kept
  std::span<const float> logits(int layer, std::int64_t pos) const;   ///< [E], empty: not kept

 private:
  struct Layer {
    std::vector<std::uint16_t> experts;
    std::vector<float> weights;
    std::vector<float> logits;
  };
  RoutingShape shape_;
  bool with_logits_ = false;
  bool with_weights_ = true;
  std::vector<Layer> layers_;
};

}  // namespace moexray
