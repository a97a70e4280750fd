#include "moexray/core/routing_buffer.h"

#include <algorithm>

#include "moexray/core/error.h"

namespace moexray {
namespace {

std::size_t count(std::int64_t n) { return static_cast<std::size_t>(n); }

}  // namespace

RoutingBuffer::RoutingBuffer(const RoutingShape& shape, bool with_logits, bool with_weights)
    : shape_(shape), with_logits_(with_logits), with_weights_(with_weights) {
  if (shape.n_layers < 1 || shape.top_k < 1 || shape.top_k > shape.n_experts ||
      shape.n_experts > max_experts) {
    throw Error(ErrorKind::data, {"impossible routing shape",
                                  {},
                                  "1 <= k <= E <= 65536 and L >= 1",
                                  "L = " + std::to_string(shape.n_layers) +
                                      ", E = " + std::to_string(shape.n_experts) +
                                      ", k = " + std::to_string(shape.top_k)});
  }
  layers_.resize(count(shape.n_layers));
}

void RoutingBuffer::reserve(std::int64_t n_positions) {
  const std::size_t n = count(std::max<std::int64_t>(n_positions, 0));
  for (Layer& layer : layers_) {
    layer.experts.reserve(n * count(shape_.top_k));
    if (with_weights_) layer.weights.reserve(n * count(shape_.top_k));
    if (with_logits_) layer.logits.reserve(n * count(shape_.n_experts));
  }
}

void RoutingBuffer::append(int layer, std::int64_t n_rows, std::span<const ExpertId> experts,
                           std::span<const float> weights, std::span<const float> logits) {
  const std::size_t n = n_rows < 0 ? 0 : count(n_rows);
  const std::size_t n_events = n * count(shape_.top_k);
  if (layer < 0 || layer >= shape_.n_layers || n_rows < 0 || experts.size() != n_events ||
      (with_weights_ && weights.size() != n_events) ||
      (with_logits_ && logits.size() != n * count(shape_.n_experts))) {
    throw Error(ErrorKind::runtime, "routing of the wrong shape was given to the trace");
  }
  for (const ExpertId expert : experts) {
    if (expert < 0 || expert >= shape_.n_experts) {
      throw Error(ErrorKind::data, {"router chose an expert that does not exist",
                                    {},
                                    "an id below " + std::to_string(shape_.n_experts),
                                    std::to_string(expert)});
    }
  }
  Layer& rows = layers_[count(layer)];
  rows.experts.insert(rows.experts.end(), experts.begin(), experts.end());
  if (with_weights_) rows.weights.insert(rows.weights.end(), weights.begin(), weights.end());
  if (with_logits_) rows.logits.insert(rows.logits.end(), logits.begin(), logits.end());
}

std::int64_t RoutingBuffer::n_positions() const {
  std::size_t n = layers_.empty() ? 0 : layers_.front().experts.size();
  for (const Layer& layer : layers_) n = std::min(n, layer.experts.size());
  return shape_.top_k == 0 ? 0 : static_cast<std::int64_t>(n / count(shape_.top_k));
}

bool RoutingBuffer::is_rectangular() const {
  return std::all_of(layers_.begin(), layers_.end(), [&](const Layer& layer) {
    return layer.experts.size() == layers_.front().experts.size();
  });
}

std::span<const std::uint16_t> RoutingBuffer::experts(int layer, std::int64_t pos) const {
  const std::size_t k = count(shape_.top_k);
  return std::span(layers_[count(layer)].experts).subspan(count(pos) * k, k);
}

std::span<const float> RoutingBuffer::weights(int layer, std::int64_t pos) const {
  if (!with_weights_) return {};
  const std::size_t k = count(shape_.top_k);
  return std::span(layers_[count(layer)].weights).subspan(count(pos) * k, k);
}

std::span<const float> RoutingBuffer::logits(int layer, std::int64_t pos) const {
  if (!with_logits_) return {};
  const std::size_t n = count(shape_.n_experts);
  return std::span(layers_[count(layer)].logits).subspan(count(pos) * n, n);
}

}  // namespace moexray
