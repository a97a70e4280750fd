#include "moexray/stats/routing_distance.h"

#include <algorithm>
#include <functional>
#include <numeric>

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

}  // namespace moexray::stats
