#include "moexray/stats/routing_distance.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "moexray/core/error.h"

namespace moexray::stats {

RoutingDistance::RoutingDistance(std::vector<double> mean, int top_k) : mean_(std::move(mean)) {
  std::vector<double> sorted = mean_;
  const auto k = std::min(static_cast<std::size_t>(std::max(top_k, 0)), sorted.size());
  const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(k);
  std::partial_sort(sorted.begin(), end, sorted.end(), std::greater<>());
  largest_ = std::accumulate(sorted.begin(), end, 0.0);
  if (!(largest_ > 0)) return;
  const double squares = std::inner_product(mean_.begin(), mean_.end(), mean_.begin(), 0.0);
  typical_ = 1 - static_cast<double>(k) * squares / largest_;
  uniform_ = 1 - static_cast<double>(k) / static_cast<double>(mean_.size()) / largest_;
}

double RoutingDistance::of(std::span<const ExpertId> experts) const {
  if (!(largest_ > 0)) return undefined;
  double chosen = 0;
  for (const ExpertId expert : experts) chosen += mean_.at(static_cast<std::size_t>(expert));
  // Rounding must not make the most typical token negative.
  return std::max(0.0, 1 - chosen / largest_);
}

std::vector<std::vector<double>> mean_signature(const Signatures& signatures,
                                                std::span<const std::size_t> rows) {
  if (rows.empty()) throw Error(ErrorKind::runtime, "a mean signature of no prompts");
  Vector sum = Vector::Zero(signatures.values.cols());
  for (const std::size_t row : rows) {
    sum += signatures.values.row(static_cast<Eigen::Index>(row)).transpose();
  }
  sum /= static_cast<double>(rows.size());
  std::vector<std::vector<double>> layers;
  for (Eigen::Index layer = 0; layer < signatures.shape.n_layers; ++layer) {
    const auto block = sum.segment(layer * signatures.shape.n_experts, signatures.shape.n_experts);
    layers.emplace_back(block.begin(), block.end());
  }
  return layers;
}

}  // namespace moexray::stats
