#include "moexray/stats/agreement.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "layer_sums.h"
#include "moexray/stats/rates.h"
#include "parallel.h"

namespace moexray::stats {
namespace {

ClusteredEstimate share_estimate(const UnitSums& sums, std::size_t min_units) {
  const ClusteredRate rate = clustered_rate(sums);
  if (static_cast<std::size_t>(rate.n_units) < min_units) return {.estimate = rate.estimate};
  return {rate.estimate, rate_interval(rate)};
}

// Of κ = 1 − r, where r is the ratio of disagreement to what chance gives.
ClusteredEstimate kappa_estimate(const UnitSums& disagreement, std::size_t min_units) {
  const ClusteredRate rate = clustered_rate(disagreement);
  ClusteredEstimate kappa;
  kappa.estimate = 1 - rate.estimate;
  const auto n_units = static_cast<std::size_t>(rate.n_units);
  if (n_units < min_units || !(rate.estimate > 0)) return kappa;
  const double half = student_t_quantile(0.975, static_cast<double>(rate.n_units - 1)) *
                      std::sqrt(rate.variance) / rate.estimate;
  kappa.ci95 = {1 - rate.estimate * std::exp(half), 1 - rate.estimate * std::exp(-half)};
  return kappa;
}

ChanceCorrected beyond_chance(const LayerSums::Corrected& sums, double n_all,
                              std::size_t min_units) {
  ChanceCorrected result;
  result.coverage = n_all > 0 ? sums.n_tokens / n_all : 0;
  if (!(sums.n_tokens > 0)) return result;
  result.chance = sums.chance / sums.n_tokens;
  result.kappa = kappa_estimate(sums.sums, min_units);
  return result;
}

void to_shares(std::vector<double>& counts, double n) {
  for (double& count : counts) count = n > 0 ? count / n : 0;
}

// What is counted token by token: no intervals.
void count_tokens(const LayerSums& sums, const Alignment& alignment, bool ordered, int first_k,
                  int second_k, LayerAgreement& result) {
  double jaccard = 0;
  double top1 = 0;
  double identical = 0;
  const int k = std::min(first_k, second_k);
  std::size_t number = 0;
  for (const AlignedPrompt& prompt : alignment.prompts) {
    for (const AlignedToken& token : prompt.tokens) {
      const int n = sums.overlaps()[number++];
      jaccard += static_cast<double>(n) / (first_k + second_k - n);
      top1 += sums.a(token).front() == sums.b(token).front() ? 1 : 0;
      identical += n == k ? 1 : 0;
      result.n_lost += first_k - n;
      result.n_gained += second_k - n;
    }
  }
  const auto n = static_cast<double>(alignment.n_tokens);
  result.jaccard = jaccard / n;
  result.identical = identical / n;
  if (ordered) result.top1 = top1 / n;
}

// Which of A's experts are lost, by their rank and weight.
void count_lost(const LayerSums& sums, const RoutedTokens& first, int layer,
                const Alignment& alignment, bool ordered, LayerAgreement& result) {
  const auto k = static_cast<std::size_t>(first.shape.top_k);
  const bool has_weights = !first.weight_shares.empty();
  std::vector<double> lost(k);
  double kept = 0;
  Membership of_b(static_cast<std::size_t>(first.shape.n_experts));
  for (const AlignedPrompt& prompt : alignment.prompts) {
    for (const AlignedToken& token : prompt.tokens) {
      of_b.set(sums.b(token));
      const auto a = sums.a(token);
      double kept_weight = 0;
      double weight = 0;
      for (std::size_t rank = 0; rank < k; ++rank) {
        const bool is_kept = of_b.has(a[rank]);
        lost[rank] += is_kept ? 0 : 1;
        if (!has_weights) continue;
        const double own = first.weights_at(token.first, layer)[rank];
        weight += own;
        kept_weight += is_kept ? own : 0;
      }
      kept += weight > 0 ? kept_weight / weight : 0;
    }
  }
  if (has_weights) result.weighted = kept / static_cast<double>(alignment.n_tokens);
  if (!ordered) return;
  to_shares(lost, result.n_lost);
  result.lost_by_rank = std::move(lost);
}

// Which ranks the experts that B gained have in A, and how near A was to choose others.
void count_gained(const LayerSums& sums, const RoutedTokens& first, int layer,
                  const Alignment& alignment, LayerAgreement& result) {
  if (first.margins.empty()) return;
  const std::size_t n_next = first.n_next();
  std::vector<double> gained(n_next + 1);
  result.near_ties = {0, 0, 0};
  Membership of_b(static_cast<std::size_t>(first.shape.n_experts));
  double n_ranked = 0;
  for (const AlignedPrompt& prompt : alignment.prompts) {
    for (const AlignedToken& token : prompt.tokens) {
      const float margin = first.margins[first.place_of(token.first, layer)];
      for (std::size_t i = 0; i < near_tie_margins.size(); ++i) {
        result.near_ties[i] += margin < near_tie_margins[i] ? 1 : 0;
      }
      of_b.set(sums.b(token));
      const auto next = first.next_at(token.first, layer);
      for (std::size_t rank = 0; rank < n_next; ++rank) {
        if (!of_b.has(next[rank])) continue;
        gained[rank] += 1;
        n_ranked += 1;
      }
    }
  }
  gained.back() = result.n_gained - n_ranked;
  to_shares(gained, result.n_gained);
  result.gained_by_rank = std::move(gained);
  for (double& share : result.near_ties) share /= static_cast<double>(alignment.n_tokens);
}

}  // namespace

std::string name_of(ChanceLevel level) {
  switch (level) {
    case ChanceLevel::uniform:
      return "uniform";
    case ChanceLevel::popularity:
      return "popularity";
    case ChanceLevel::same_prompt:
      return "same_prompt";
    case ChanceLevel::same_type:
      break;
  }
  return "same_type";
}

std::vector<LayerAgreement> agreement(const RoutedTokens& first, const RoutedTokens& second,
                                      const Alignment& alignment, const AgreementOptions& options) {
  check_shapes(first, second);
  const int n_layers = first.shape.n_layers;
  std::vector<LayerAgreement> layers(static_cast<std::size_t>(n_layers));
  if (alignment.n_tokens == 0) return layers;
  const std::vector<TypeToken> by_type = tokens_by_type(first, alignment);
  const int first_k = first.shape.top_k;
  const int second_k = second.shape.top_k;
  parallel_for(n_layers, options.n_threads, [&](int layer) {
    throw_if_stopped(options.work.stop);
    const LayerSums sums(first, second, alignment, layer, layer);
    LayerAgreement& result = layers[static_cast<std::size_t>(layer)];
    result.overlap = share_estimate(sums.overlap(), options.min_units);
    count_tokens(sums, alignment, options.ordered, first_k, second_k, result);
    count_lost(sums, first, layer, alignment, options.ordered, result);
    count_gained(sums, first, layer, alignment, result);
    const auto n = static_cast<double>(alignment.n_tokens);
    const double uniform = static_cast<double>(std::max(first_k, second_k)) / first.shape.n_experts;
    const auto beyond = [&](const LayerSums::Corrected& one) {
      return beyond_chance(one, n, options.min_units);
    };
    const LayerSums::OfCounts counts = sums.of_counts();
    result.chance = {beyond(sums.constant(uniform)), beyond(sums.constant(counts.popularity)),
                     beyond(counts.same_prompt),
                     beyond(sums.same_type(by_type, options.min_type_count))};
    ChanceCorrected& same_type = result.chance[3];
    if (same_type.coverage < options.min_coverage) {
      same_type.chance = undefined;
      same_type.kappa = {};
    }
    if (options.work.on_steps) options.work.on_steps(1);
  });
  return layers;
}

double uniform_jaccard(int n_experts, int first_k, int second_k) {
  const auto log_choose = [](int n, int k) {
    return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1);
  };
  double mean = 0;
  for (int j = std::max(0, first_k + second_k - n_experts); j <= std::min(first_k, second_k); ++j) {
    const double h =
        std::exp(log_choose(first_k, j) + log_choose(n_experts - first_k, second_k - j) -
                 log_choose(n_experts, second_k));
    mean += h * j / (first_k + second_k - j);
  }
  return mean;
}

}  // namespace moexray::stats
