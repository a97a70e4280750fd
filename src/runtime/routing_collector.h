#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moexray/core/expert_sets.h"
#include "moexray/core/routing_buffer.h"
#include "moexray/runtime/model.h"

namespace moexray {

/// The RouterTap of generation: cuts the rows of a forward pass into the pieces of its sequences
/// and appends each to what is kept of the sequence.
class RoutingCollector : public RouterTap {
 public:
  /// Rows of the passes to come: consecutive `n_rows` go to `buffer` and `sets`, where there is
  /// one.
  struct Piece {
    RoutingBuffer* buffer = nullptr;
    std::int64_t n_rows = 0;
    ExpertSets* sets = nullptr;
  };

  /// @param with_weights false where no piece has a buffer
  RoutingCollector(const RoutingShape& shape, bool with_logits, bool with_weights = true)
      : shape_(shape), with_logits_(with_logits), with_weights_(with_weights) {}

  /// Announces a forward pass.
  void begin_pass(std::vector<Piece> pieces);
  /// @throws Error (runtime) unless every layer has reported since begin_pass().
  void end_pass() const;

  bool wants_logits() const override { return with_logits_; }
  bool wants_weights() const override { return with_weights_; }
  /// @throws Error (runtime) for a layer out of order or spans of the wrong size.
  void on_router(const RouterBatch& batch) override;

 private:
  RoutingShape shape_;
  bool with_logits_;
  bool with_weights_;
  std::vector<Piece> pieces_;
  std::int64_t n_rows_ = 0;
  int next_layer_ = 0;
};

}  // namespace moexray
