#include "moexray/stats/false_discovery.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace moexray::stats {

std::vector<double> benjamini_hochberg(std::span<const double> p_values) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < p_values.size(); ++i) {
    if (!std::isnan(p_values[i])) order.push_back(i);
  }
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> q(p_values.begin(), p_values.end());
  double smallest = 1;
  const auto m = static_cast<double>(order.size());
  for (std::size_t rank = order.size(); rank > 0; --rank) {
    const std::size_t i = order[rank - 1];
    smallest = std::min(smallest, m * p_values[i] / static_cast<double>(rank));
    q[i] = smallest;
  }
  return q;
}

}  // namespace moexray::stats
