#include "routing_collector.h"

#include <string>
#include <utility>

#include "moexray/core/error.h"

namespace moexray {
namespace {

std::size_t count(std::int64_t n) { return static_cast<std::size_t>(n); }

std::string describe(int layer, std::int64_t n_rows, const RoutingShape& shape) {
  return "layer " + std::to_string(layer) + ", " + std::to_string(n_rows) +
         " rows, E = " + std::to_string(shape.n_experts) + ", k = " + std::to_string(shape.top_k);
}

}  // namespace

void RoutingCollector::begin_pass(std::vector<Piece> pieces) {
  pieces_ = std::move(pieces);
  next_layer_ = 0;
  n_rows_ = 0;
  for (const Piece& piece : pieces_) n_rows_ += piece.n_rows;
}

void RoutingCollector::end_pass() const {
  if (next_layer_ == shape_.n_layers) return;
  throw Error(ErrorKind::runtime, {"the model did not report the routing of every layer",
                                   {},
                                   std::to_string(shape_.n_layers) + " layers",
                                   std::to_string(next_layer_)});
}

void RoutingCollector::on_router(const RouterBatch& batch) {
  const RoutingShape found{shape_.n_layers, batch.n_experts, batch.top_k};
  const std::size_t n_events = count(n_rows_) * count(shape_.top_k);
  const std::size_t n_logits = count(n_rows_) * count(shape_.n_experts);
  if (batch.layer != next_layer_ || next_layer_ >= shape_.n_layers || batch.n_rows != n_rows_ ||
      !(found == shape_) || batch.experts.size() != n_events ||
      (with_weights_ && batch.weights.size() != n_events) ||
      (with_logits_ && batch.logits.size() != n_logits)) {
    throw Error(ErrorKind::runtime, {"the model reported routing of the wrong shape",
                                     {},
                                     describe(next_layer_, n_rows_, shape_),
                                     describe(batch.layer, batch.n_rows, found)});
  }
  ++next_layer_;
  const std::size_t k = count(shape_.top_k);
  const std::size_t n_experts = count(shape_.n_experts);
  std::size_t row = 0;
  for (const Piece& piece : pieces_) {
    const std::size_t n = count(piece.n_rows);
    const auto experts = batch.experts.subspan(row * k, n * k);
    if (piece.sets != nullptr) piece.sets->append(batch.layer, piece.n_rows, experts);
    if (piece.buffer != nullptr) {
      piece.buffer->append(batch.layer, piece.n_rows, experts,
                           batch.weights.subspan(row * k, n * k),
                           with_logits_ ? batch.logits.subspan(row * n_experts, n * n_experts)
                                        : std::span<const float>());
    }
    row += n;
  }
}

}  // namespace moexray
