#include "moexray/stats/load_metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace moexray::stats {
namespace {

// −Σ s ln s, in nats.
double entropy_of(const Eigen::RowVectorXd& shares) {
  double entropy = 0;
  for (const double share : shares) {
    if (share > 0) entropy -= share * std::log(share);
  }
  return entropy;
}

double gini_of(const Eigen::RowVectorXd& shares) {
  std::vector<double> sorted(shares.begin(), shares.end());
  std::sort(sorted.begin(), sorted.end());
  const auto n = static_cast<double>(sorted.size());
  double sum = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    sum += (2 * static_cast<double>(i + 1) - n - 1) * sorted[i];
  }
  return sum / n;
}

}  // namespace

LoadMetrics load_metrics(const Eigen::RowVectorXd& counts) {
  LoadMetrics metrics;
  const double sum = counts.sum();
  if (!(sum > 0)) return metrics;
  const auto n_experts = static_cast<double>(counts.size());
  const Eigen::RowVectorXd shares = counts / sum;
  metrics.cv = std::sqrt((shares.array() * n_experts - 1).square().mean());
  metrics.max_over_mean = shares.maxCoeff() * n_experts;
  const double entropy = entropy_of(shares);
  if (counts.size() > 1) metrics.entropy = entropy / std::log(n_experts);
  metrics.effective_share = std::exp(entropy) / n_experts;
  metrics.gini = gini_of(shares);
  return metrics;
}

Eigen::RowVectorXd device_loads(const Eigen::RowVectorXd& counts, const ExpertPlacement& placement,
                                int layer) {
  std::vector<int> own(static_cast<std::size_t>(counts.size()));
  std::iota(own.begin(), own.end(), 0);
  const std::vector<int>& slots =
      placement.slots.empty()
          ? own
          : placement.slots[placement.slots.size() == 1 ? 0 : static_cast<std::size_t>(layer)];
  std::vector<double> n_slots(own.size());
  for (const int expert : slots) n_slots[static_cast<std::size_t>(expert)] += 1;
  const auto n_devices = static_cast<std::size_t>(placement.n_devices);
  Eigen::RowVectorXd loads = Eigen::RowVectorXd::Zero(placement.n_devices);
  std::size_t slot = 0;
  for (std::size_t device = 0; device < n_devices; ++device) {
    const std::size_t n_own = slots.size() / n_devices + (device < slots.size() % n_devices);
    for (const std::size_t end = slot + n_own; slot < end; ++slot) {
      const auto expert = static_cast<std::size_t>(slots[slot]);
      loads(static_cast<Eigen::Index>(device)) +=
          counts(static_cast<Eigen::Index>(expert)) / n_slots[expert];
    }
  }
  return loads;
}

}  // namespace moexray::stats
