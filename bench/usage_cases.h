#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/stats/agreement.h"
#include "moexray/stats/usage_shift.h"

namespace moexray::bench {

/// Two routings of made-up prompts: the second likes experts as the first does, with the same noise
/// of every token, and what is added here.
struct UsageWorldOptions {
  int n_prompts = 8000;  ///< of the population
  RoutingShape shape{2, 16, 4};
  std::vector<int> lengths = {40};  ///< of the categories; one: of all
  bool spread_lengths = false;      ///< a quarter to twice that
  double shift = 0;                 ///< of two experts of layer 0, one more and one less
  double category_shift = 0;        ///< of all experts of layer 0, in the first of four categories
  double start_shift = 0;           ///< of all experts, in the first ten tokens
  double prompt_shift = 0.6;        ///< of all experts, another in each prompt
  double autocorrelation = 0;       ///< of a token's noise with the next
};

class UsageWorld {
 public:
  UsageWorld(const UsageWorldOptions& o, std::uint64_t seed) : options_(o) {
    RandomStream random(seed);
    const auto normals = [&](double size) {
      std::vector<double> values(static_cast<std::size_t>(o.shape.n_layers) *
                                 static_cast<std::size_t>(o.shape.n_experts));
      for (double& value : values) value = size * random.normal();
      return values;
    };
    std::vector<std::vector<double>> types;
    for (int v = 0; v < n_types; ++v) types.push_back(normals(1));
    const std::vector<double> start = normals(o.start_shift);
    const std::vector<double> of_category = normals(o.category_shift);
    std::vector<stats::PromptLabel> labels;
    for (int i = 0; i < o.n_prompts; ++i) {
      labels.push_back({"p" + std::to_string(i), "c" + std::to_string(i % 4)});
    }
    const auto n = labels.size();
    stats::SignatureAccumulator signatures(o.shape, labels, {});
    stats::TokenAccumulator first(o.shape, n, {});
    stats::TokenAccumulator second(o.shape, n, {});
    for (std::size_t i = 0; i < n; ++i) {
      const std::vector<double> own = normals(0.5);
      std::vector<double> added = normals(o.prompt_shift);
      added[0] += o.shift;
      added[1] -= o.shift;
      for (int e = 0; i % 4 == 0 && e < o.shape.n_experts; ++e) {
        added[static_cast<std::size_t>(e)] += of_category[static_cast<std::size_t>(e)];
      }
      std::vector<double> noise = normals(0);
      const int n_tokens = length_of(i, random);
      for (int t = 0; t < n_tokens; ++t) {
        const auto type = static_cast<TokenId>(random.below(n_types));
        for (double& one : noise) {
          const double fresh = 1.28 * random.normal();
          one = t == 0 ? fresh
                       : o.autocorrelation * one +
                             std::sqrt(1 - o.autocorrelation * o.autocorrelation) * fresh;
        }
        std::vector<double> liking(noise.size());
        for (std::size_t j = 0; j < liking.size(); ++j) {
          liking[j] = types[static_cast<std::size_t>(type)][j] + own[j] + noise[j];
        }
        const auto put = [&](stats::TokenAccumulator& tokens, bool with_signatures) {
          for (int layer = 0; layer < o.shape.n_layers; ++layer) {
            const std::vector<ExpertId> experts = chosen(liking, layer);
            RoutingRecord record;
            record.layer = layer;
            record.pos = t;
            record.token_id = type;
            record.experts = experts;
            tokens.add(i, record);
            if (with_signatures) signatures.add(i, record);
          }
        };
        put(first, true);
        for (std::size_t j = 0; j < liking.size(); ++j) {
          liking[j] += added[j] + (t < 10 ? start[j] : 0);
        }
        put(second, false);
      }
    }
    rows_ = std::move(signatures).finish();
    first_ = std::move(first).finish(rows_);
    second_ = std::move(second).finish(rows_);
    all_ = stats::align(rows_, first_, rows_, second_, {});
  }

  stats::PairedUsage population() const { return usage_of(all_); }

  /// n prompts of the population, each at most once, as many of each category.
  /// @param exchanged with the two routings of every prompt in random order: nothing shifts
  stats::PairedUsage sample(std::size_t n, bool exchanged, RandomStream& random) const {
    stats::Alignment alignment;
    std::vector<std::vector<std::size_t>> of_category(4);
    for (std::size_t i = 0; i < all_.prompts.size(); ++i) of_category[i % 4].push_back(i);
    for (std::size_t i = 0; i < n; ++i) {
      std::vector<std::size_t>& left = of_category[i % 4];
      std::swap(left[random.below(left.size())], left.back());
      alignment.prompts.push_back(all_.prompts[left.back()]);
      left.pop_back();
      alignment.prompts.back().unit = static_cast<int>(i);
      alignment.n_tokens += alignment.prompts.back().tokens.size();
    }
    alignment.n_units = n;
    stats::PairedUsage usage = usage_of(alignment);
    if (!exchanged) return usage;
    std::vector<double> signs(n);
    for (std::size_t i = 0; i < n; ++i) {
      signs[i] = random.below(2) == 0 ? 1 : -1;
      const auto row = static_cast<Eigen::Index>(i);
      if (signs[i] < 0) usage.first.row(row).swap(usage.second.row(row));
    }
    for (Eigen::Index i = 0; i < usage.common.rows(); ++i) {
      usage.common.row(i) *= signs[usage.positions.rows[static_cast<std::size_t>(i)]];
    }
    return usage;
  }

 private:
  static constexpr int n_types = 60;

  int length_of(std::size_t prompt, RandomStream& random) const {
    const int length = options_.lengths[prompt % options_.lengths.size()];
    if (!options_.spread_lengths) return length;
    return length / 4 + static_cast<int>(random.below(static_cast<std::uint64_t>(length) * 7 / 4));
  }

  std::vector<ExpertId> chosen(const std::vector<double>& liking, int layer) const {
    const int n_experts = options_.shape.n_experts;
    const double* own = liking.data() + layer * n_experts;
    std::vector<ExpertId> order;
    for (int e = 0; e < n_experts; ++e) order.push_back(e);
    const auto k = order.begin() + options_.shape.top_k;
    std::partial_sort(order.begin(), k, order.end(),
                      [&](ExpertId a, ExpertId b) { return own[a] > own[b]; });
    order.erase(k, order.end());
    return order;
  }

  stats::PairedUsage usage_of(const stats::Alignment& alignment) const {
    return stats::paired_usage(rows_, first_, second_, alignment, {}, stats::TokenSelection::all);
  }

  UsageWorldOptions options_;
  stats::Signatures rows_;
  stats::RoutedTokens first_;
  stats::RoutedTokens second_;
  stats::Alignment all_;
};

/// What one data set showed.
struct UsageOutcome {
  bool any_claim = false;      ///< an expert with an adjusted p ≤ 0.05
  bool any_listed = false;     ///< one with q ≤ 0.05
  bool found = false;          ///< a claim of one of the two experts that shift
  double covered = 0;          ///< share of the experts' intervals that hold the truth
  double entropy_covered = 0;  ///< of the layers' entropies
  bool categories = false;     ///< p of the categories' F ≤ 0.05
};

inline UsageOutcome usage_outcome(const stats::PairedUsage& usage, const stats::UsageShift& truth,
                                  int n_permutations, std::uint64_t seed) {
  const stats::UsageShift found =
      stats::usage_shift(usage, {.n_permutations = n_permutations, .seed = seed});
  UsageOutcome outcome;
  outcome.any_claim = found.n_significant > 0;
  outcome.any_listed = found.n_listed > 0;
  outcome.found = found.experts[0].significant || found.experts[1].significant;
  outcome.categories = found.by_category.p_value <= 0.05;
  const auto holds = [](const std::array<double, 2>& ci95, double value) {
    return ci95[0] <= value && value <= ci95[1] ? 1.0 : 0.0;
  };
  for (std::size_t i = 0; i < found.experts.size(); ++i) {
    outcome.covered += holds(found.experts[i].ci95, truth.experts[i].difference) /
                       static_cast<double>(found.experts.size());
  }
  int n_layers = 0;
  for (std::size_t i = 0; i < found.entropies.size(); ++i) {
    if (found.entropies[i].category >= 0) continue;
    ++n_layers;
    outcome.entropy_covered +=
        holds(found.entropies[i].difference.ci95, truth.entropies[i].difference.estimate);
  }
  outcome.entropy_covered /= n_layers;
  return outcome;
}

}  // namespace moexray::bench
