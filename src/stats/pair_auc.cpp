#include "pair_auc.h"

#include <algorithm>
#include <cmath>

namespace moexray::stats {
namespace {

constexpr double decimals = 1e12;

}  // namespace

bool PairAuc::Pair::operator<(const Pair& right) const { return key < right.key; }

PairAuc::PairAuc(const Matrix& similarity, const CategoryIndex& categories, const Units& units,
                 InnerPairs inner)
    : n_units_(units.size()) {
  const auto n = static_cast<std::size_t>(similarity.rows());
  pairs_.reserve(n * (n - 1) / 2);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) {
      if (inner == InnerPairs::leave_out && units.of_prompt[i] == units.of_prompt[j]) continue;
      const double s = similarity(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j));
      const auto rounded = static_cast<std::int64_t>(std::llround(s * decimals));
      // The last bit of the key says whether the pair is within; equal similarities still lie
      // together, the across pairs first.
      const bool within = categories.of_prompt[i] == categories.of_prompt[j];
      pairs_.push_back({2 * rounded + (within ? 1 : 0),
                        static_cast<std::uint32_t>(units.of_prompt[i]),
                        static_cast<std::uint32_t>(units.of_prompt[j])});
    }
  }
  std::sort(pairs_.begin(), pairs_.end());
}

// What a sweep has seen so far. For the unit u of a pair p, δ_p(u) is what p loses of its weight
// w_p when one copy of u goes.
class PairAuc::State {
 public:
  State(const std::vector<Lanes>& weights, Sweep& result)
      : weights_(weights), result_(result), across_of_unit_(result.across_lost) {}

  // Counts `share` of an across pair as seen by the within pairs that follow.
  void see_across(const Pair& pair, double share) {
    const Lanes& a = weights_[pair.unit];
    const Lanes& b = weights_[pair.other];
    Lanes& across_a = across_of_unit_[pair.unit];
    if (pair.unit == pair.other) {
      for (std::size_t i = 0; i < n_lanes; ++i) {
        result_.n_across[i] += share * a[i];
        across_a[i] += share;
      }
      return;
    }
    Lanes& across_b = across_of_unit_[pair.other];
    for (std::size_t i = 0; i < n_lanes; ++i) {
      result_.n_across[i] += share * a[i] * b[i];
      across_a[i] += share * b[i];
      across_b[i] += share * a[i];
    }
  }

  // Counts `share` of a within pair as seen by the across pairs that follow.
  void see_within(const Pair& pair, double share) {
    const Lanes& a = weights_[pair.unit];
    const Lanes& b = weights_[pair.other];
    const bool inner = pair.unit == pair.other;
    for (std::size_t i = 0; i < n_lanes; ++i) {
      result_.n_within[i] += share * (inner ? a[i] : a[i] * b[i]);
    }
  }

  // A within pair beats the across pairs seen so far. Losing one copy of u, the pair loses δ_p(u)
  // times those, and of what both lose the part with u in both pairs is counted once.
  void score_within(const Pair& pair) {
    const Lanes& a = weights_[pair.unit];
    const Lanes& b = weights_[pair.other];
    const bool inner = pair.unit == pair.other;
    const Lanes& across = result_.n_across;
    const Lanes& across_a = across_of_unit_[pair.unit];
    Lanes& lost_a = result_.lost[pair.unit];
    Lanes& within_a = result_.within_lost[pair.unit];
    if (inner) {
      for (std::size_t i = 0; i < n_lanes; ++i) {
        result_.concordant[i] += a[i] * across[i];
        lost_a[i] += across[i] - across_a[i];
        within_a[i] += 1;
      }
      return;
    }
    const Lanes& across_b = across_of_unit_[pair.other];
    Lanes& lost_b = result_.lost[pair.other];
    Lanes& within_b = result_.within_lost[pair.other];
    for (std::size_t i = 0; i < n_lanes; ++i) {
      result_.concordant[i] += a[i] * b[i] * across[i];
      lost_a[i] += b[i] * (across[i] - across_a[i]);
      lost_b[i] += a[i] * (across[i] - across_b[i]);
      within_a[i] += b[i];
      within_b[i] += a[i];
    }
  }

  // An across pair is beaten by all within pairs but those seen so far. Here the latter; the sweep
  // adds the former at its end.
  void score_across(const Pair& pair) {
    const Lanes& a = weights_[pair.unit];
    const Lanes& b = weights_[pair.other];
    Lanes& lost_a = result_.lost[pair.unit];
    if (pair.unit == pair.other) {
      for (std::size_t i = 0; i < n_lanes; ++i) lost_a[i] -= result_.n_within[i];
      return;
    }
    Lanes& lost_b = result_.lost[pair.other];
    for (std::size_t i = 0; i < n_lanes; ++i) {
      lost_a[i] -= b[i] * result_.n_within[i];
      lost_b[i] -= a[i] * result_.n_within[i];
    }
  }

 private:
  const std::vector<Lanes>& weights_;
  Sweep& result_;
  std::vector<Lanes>& across_of_unit_;
};

PairAuc::Sweep PairAuc::sweep(const std::vector<Lanes>& weights) const {
  Sweep result;
  result.lost.resize(n_units_);
  result.within_lost.resize(n_units_);
  result.across_lost.resize(n_units_);
  State state(weights, result);
  const auto is_within = [&](std::size_t p) { return (pairs_[p].key & 1) != 0; };
  std::size_t first = 0;
  while (first < pairs_.size()) {
    std::size_t end = first + 1;
    while (end < pairs_.size() && (pairs_[end].key >> 1) == (pairs_[first].key >> 1)) ++end;
    std::size_t middle = first;
    while (middle < end && !is_within(middle)) ++middle;
    // Equal pairs see half of each other.
    for (std::size_t p = first; p < middle; ++p) state.see_across(pairs_[p], 0.5);
    for (std::size_t p = middle; p < end; ++p) {
      state.score_within(pairs_[p]);
      state.see_within(pairs_[p], 0.5);
    }
    for (std::size_t p = first; p < middle; ++p) {
      state.score_across(pairs_[p]);
      state.see_across(pairs_[p], 0.5);
    }
    for (std::size_t p = middle; p < end; ++p) state.see_within(pairs_[p], 0.5);
    first = end;
  }
  for (std::size_t u = 0; u < n_units_; ++u) {
    for (std::size_t i = 0; i < n_lanes; ++i) {
      result.lost[u][i] += result.n_within[i] * result.across_lost[u][i];
    }
  }
  return result;
}

}  // namespace moexray::stats
