#pragma once

// Routing whose truth is known, for bench/expert_calibration and its short form among the tests.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/stats/expert_categories.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"

namespace moexray::bench {

/// A router without words: experts have preferences that differ between prompts, positions and, if
/// `effect` is not 0, categories.
struct ExpertWorldOptions {
  std::vector<int> n_prompts = {20, 20, 20, 20};  ///< [K]
  std::vector<int> n_tokens = {40, 40, 40, 40};   ///< [K] of every prompt
  int n_layers = 4;
  int n_experts = 16;
  int top_k = 2;
  double popularity = 0.7;     ///< how much experts differ in how popular they are with all
  double prompt_effect = 0.5;  ///< how much prompts differ, of every expert by itself
  /// [K] in place of prompt_effect, or empty.
  std::vector<double> prompt_effects = {};
  double position_effect = 0;  ///< how much positions do; it fades with the position
  double autocorrelation = 0;  ///< of the noise from token to token
  double effect = 0;           ///< how much categories do
};

struct ExpertWorld {
  stats::Signatures signatures;
  stats::RoutedTokens tokens;
};

/// A token's experts are the k largest of preferences plus noise of standard deviation 1.28, as a
/// draw without replacement has it.
/// @param seed of what experts, categories and positions are like
/// @param own_seed of the prompts
inline ExpertWorld expert_world(const ExpertWorldOptions& o, std::uint64_t seed,
                                std::uint64_t own_seed = 0) {
  RandomStream random(seed);
  const auto d = static_cast<std::size_t>(o.n_layers * o.n_experts);
  const auto normals = [&](double size) {
    std::vector<double> values(d);
    for (double& value : values) value = size * random.normal();
    return values;
  };
  const std::vector<double> popularity = normals(o.popularity);
  std::vector<std::vector<double>> of_category;
  std::vector<std::vector<double>> of_position;
  for (std::size_t c = 0; c < o.n_prompts.size(); ++c) of_category.push_back(normals(o.effect));
  const int longest = *std::max_element(o.n_tokens.begin(), o.n_tokens.end());
  std::vector<double> at_start = normals(o.position_effect);
  for (int t = 0; t < longest; ++t) {
    of_position.push_back(at_start);
    for (double& value : of_position.back()) value *= std::exp(-t / 15.0);
  }
  std::vector<stats::PromptLabel> labels;
  for (std::size_t c = 0; c < o.n_prompts.size(); ++c) {
    for (int i = 0; i < o.n_prompts[c]; ++i) {
      labels.push_back({"p" + std::to_string(labels.size()), "c" + std::to_string(c)});
    }
  }
  const RoutingShape shape{o.n_layers, o.n_experts, o.top_k};
  stats::SignatureAccumulator signatures(shape, labels, {});
  stats::TokenAccumulator tokens(shape, labels.size(), {});
  random = RandomStream(own_seed, "prompts of " + std::to_string(seed));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto c = static_cast<std::size_t>(std::stoi(labels[i].category.substr(1)));
    const std::vector<double> own =
        normals(o.prompt_effects.empty() ? o.prompt_effect : o.prompt_effects[c]);
    std::vector<double> noise = normals(1);
    for (int t = 0; t < o.n_tokens[c]; ++t) {
      const double fresh = std::sqrt(1 - o.autocorrelation * o.autocorrelation);
      for (double& value : noise) value = o.autocorrelation * value + fresh * random.normal();
      for (int layer = 0; layer < o.n_layers; ++layer) {
        std::vector<std::pair<double, ExpertId>> order;
        for (int e = 0; e < o.n_experts; ++e) {
          const auto j = static_cast<std::size_t>(layer * o.n_experts + e);
          order.emplace_back(-(popularity[j] + own[j] + of_category[c][j] +
                               of_position[static_cast<std::size_t>(t)][j] + 1.28 * noise[j]),
                             e);
        }
        std::partial_sort(order.begin(), order.begin() + o.top_k, order.end());
        std::vector<ExpertId> experts;
        for (int j = 0; j < o.top_k; ++j) {
          experts.push_back(order[static_cast<std::size_t>(j)].second);
        }
        RoutingRecord record;
        record.layer = layer;
        record.pos = t;
        record.experts = experts;
        signatures.add(i, record);
        tokens.add(i, record);
      }
    }
  }
  ExpertWorld world{std::move(signatures).finish(), {}};
  world.tokens = std::move(tokens).finish(world.signatures);
  return world;
}

struct ExpertOutcome {
  bool tested = false;
  std::size_t n_significant = 0;  ///< max-T
  std::size_t n_listed = 0;       ///< Benjamini–Hochberg
};

inline ExpertOutcome outcome_of(const stats::Signatures& signatures,
                                const stats::RoutedTokens& tokens, std::int64_t n_permutations,
                                std::uint64_t seed) {
  const stats::ExpertCategoriesResult result = stats::expert_categories(
      signatures, tokens, {}, {.n_permutations = n_permutations, .seed = seed});
  return {result.tested(), result.n_significant, result.n_listed};
}

/// Data set `i` of a world that is another one each time.
inline ExpertOutcome expert_outcome(const ExpertWorldOptions& options, std::uint64_t seed, int i,
                                    std::int64_t n_permutations) {
  const std::uint64_t own = RandomStream(seed, "data set " + std::to_string(i))();
  const ExpertWorld world = expert_world(options, own);
  return outcome_of(world.signatures, world.tokens, n_permutations, own);
}

/// The names that worlds have in docs/statistics.md.
struct NamedExpertWorld {
  const char* name;
  ExpertWorldOptions options;
};

inline std::vector<NamedExpertWorld> null_expert_worlds() {
  const ExpertWorldOptions lengths{.n_tokens = {15, 30, 60, 120}};
  ExpertWorldOptions positions = lengths;
  positions.position_effect = 1;
  ExpertWorldOptions correlated = lengths;
  correlated.autocorrelation = 0.8;
  ExpertWorldOptions all = positions;
  all.autocorrelation = 0.8;
  ExpertWorldOptions two{.n_prompts = {30, 6}, .n_tokens = {80, 15}};
  two.position_effect = 1;
  two.autocorrelation = 0.8;
  return {
      {"4 × 20 prompts of 40 tokens", {}},          {"lengths 15, 30, 60, 120", lengths},
      {"lengths, positions differ", positions},     {"lengths, autocorrelation 0.8", correlated},
      {"lengths, positions, autocorrelation", all}, {"30 of 80 tokens, 6 of 15, the same", two}};
}

}  // namespace moexray::bench
