#include "moexray/routing/load_match.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "moexray/routing/router_rule.h"

namespace moexray {
namespace {

constexpr int n_steps = 24;
constexpr double first_step = 0.6;
constexpr double shrink = 0.93;      // of the step, each time
constexpr double max_log_ratio = 2;  // of loads: no step is larger
// Of the choices that may differ: far less than the load of other tokens does.
constexpr double close_enough = 0.01;

// Of logits around the mean of their row.
double spread_of(std::span<const float> logits, std::size_t n_experts) {
  double squares = 0;
  for (std::size_t row = 0; row < logits.size(); row += n_experts) {
    double sum = 0, own_squares = 0;
    for (const float value : logits.subspan(row, n_experts)) {
      sum += value;
      own_squares += double{value} * double{value};
    }
    squares += std::max(0.0, own_squares - sum * sum / static_cast<double>(n_experts));
  }
  return logits.empty() ? 0 : std::sqrt(squares / static_cast<double>(logits.size()));
}

// Rows that are counted at a time: they stay in the nearest cache.
constexpr std::size_t rows_at_once = 32;

// How often each expert is chosen by logits + biases [E].
class LoadCounter {
 public:
  LoadCounter(const RouterSpec& router, std::span<const float> logits)
      : router_(router),
        n_experts_(static_cast<std::size_t>(router.n_experts)),
        logits_(logits),
        shifted_(rows_at_once * n_experts_),
        experts_(rows_at_once * static_cast<std::size_t>(router.top_k)),
        weights_(experts_.size()) {
    // The largest logits have the largest probabilities: nothing needs a softmax over all experts.
    router_.softmax = SoftmaxOver::chosen;
  }

  std::vector<std::int64_t> loads(std::span<const float> biases) {
    std::vector<std::int64_t> loads(n_experts_, 0);
    for (std::size_t first = 0; first < logits_.size(); first += shifted_.size()) {
      const auto block = logits_.subspan(first, std::min(shifted_.size(), logits_.size() - first));
      const std::size_t n_rows = block.size() / n_experts_;
      for (std::size_t row = 0; row < n_rows; ++row) {
        const float* own = block.data() + row * n_experts_;
        float* sums = shifted_.data() + row * n_experts_;
        for (std::size_t e = 0; e < n_experts_; ++e) sums[e] = own[e] + biases[e];
      }
      const auto chosen =
          std::span(experts_).first(n_rows * static_cast<std::size_t>(router_.top_k));
      select_experts(router_, std::span(shifted_).first(block.size()), chosen, weights_);
      for (const ExpertId expert : chosen) ++loads[static_cast<std::size_t>(expert)];
    }
    return loads;
  }

 private:
  RouterSpec router_;
  std::size_t n_experts_;
  std::span<const float> logits_;
  std::vector<float> shifted_;
  std::vector<ExpertId> experts_;
  std::vector<float> weights_;
};

}  // namespace

std::vector<std::int64_t> expert_loads(const RouterSpec& router, std::span<const float> logits) {
  return LoadCounter(router, logits)
      .loads(std::vector<float>(static_cast<std::size_t>(router.n_experts), 0.0F));
}

std::vector<float> load_matching_biases(const RouterSpec& router, std::span<const float> logits,
                                        std::span<const std::int64_t> target) {
  const auto n_experts = static_cast<std::size_t>(router.n_experts);
  const double spread = spread_of(logits, n_experts);
  std::vector<double> biases(n_experts, 0.0);
  std::vector<float> rounded(n_experts, 0.0F), best = rounded;
  LoadCounter counter(router, logits);
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  double step = first_step * spread;
  const double n_choices =
      static_cast<double>(logits.size() / n_experts) * static_cast<double>(router.top_k);
  for (int i = 0; i<n_steps&& static_cast<double>(least)> close_enough * n_choices;
       ++i, step *= shrink) {
    const std::vector<std::int64_t> loads = counter.loads(rounded);
    std::int64_t distance = 0;
    for (std::size_t e = 0; e < n_experts; ++e) distance += std::abs(loads[e] - target[e]);
    if (distance < least) {
      least = distance;
      best = rounded;
    }
    for (std::size_t e = 0; e < n_experts; ++e) {
      const double ratio =
          std::log((static_cast<double>(target[e]) + 0.5) / (static_cast<double>(loads[e]) + 0.5));
      biases[e] += step * std::clamp(ratio, -max_log_ratio, max_log_ratio);
      rounded[e] = static_cast<float>(biases[e]);
    }
  }
  return best;
}

}  // namespace moexray
