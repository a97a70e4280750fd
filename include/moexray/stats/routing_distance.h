#pragma once

#include <span>
#include <vector>

#include "moexray/core/routing.h"
#include "moexray/stats/matrix.h"

namespace moexray::stats {

/// How far single routing decisions at one layer are from a mean signature m of that layer.
///
/// d = 1 − Σ_{e chosen} m_e / Σ_{e among the k largest of m} m_e. With o, the vector that is 1 at
/// the chosen experts and 0 elsewhere, this is 1 − cos(o, m) / max_o′ cos(o′, m): 0 if the token
/// goes to the k experts that m uses most, 1 if it goes to none that m uses at all.
class RoutingDistance {
 public:
  /// @param mean [E] shares that add up to 1
  /// @param top_k experts a token chooses
  RoutingDistance(std::vector<double> mean, int top_k);

  /// d of a token with these experts; undefined if m is 0 everywhere.
  double of(std::span<const ExpertId> experts) const;
  /// The mean of d over tokens whose mean signature is m itself: 1 − k·Σ m_e² / Σ_{k largest} m_e.
  double typical() const { return typical_; }
  /// The mean of d over tokens that choose uniformly: 1 − (k/E) / Σ_{k largest} m_e.
  double uniform() const { return uniform_; }

 private:
  std::vector<double> mean_;
  double largest_ = 0;  // Σ of the k largest
  double typical_ = undefined;
  double uniform_ = undefined;
};

}  // namespace moexray::stats
