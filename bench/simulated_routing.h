#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"

namespace moexray::bench {

/// A made-up world of prompts: categories prefer token types, and a router prefers experts for
/// token types and, if `context_effect` is not 0, for categories beyond the types.
///
/// Types may come in families, one for each category and one that is nobody's: a category prefers
/// the types of its family, and types of a family are routed alike, as related words are.
struct SimulatedRoutingOptions {
  int n_categories = 4;
  int n_prompts = 20;  ///< of each category
  int n_layers = 2;
  int n_experts = 8;
  int top_k = 2;
  int n_types = 150;
  double type_share_effect = 1.2;  ///< how much categories differ in their token types
  double type_routing = 1.5;       ///< how much token types differ in their routing
  double family_share = 0;         ///< logarithm of how much a category prefers its own family
  double family_routing = 0;       ///< how much families differ in their routing
  double prompt_effect = 0.2;  ///< how much prompts differ in their routing, whatever the category
  double context_effect = 0;   ///< how much categories do
  int min_tokens = 25;
  int max_tokens = 60;
  std::vector<int> prompt_tokens = {};     ///< [K] in place of min_tokens to max_tokens, or empty
  std::vector<int> generated_tokens = {};  ///< [K] that follow the prompt's; empty: none
  double first_shift = 0;      ///< how much the first ten tokens of a prompt differ from others
  double generated_shift = 0;  ///< how much generated tokens do
  double previous = 0;         ///< weight of the previous token's type
  double earlier = 0;          ///< of the sum of all earlier tokens' types, over its root number
  double autocorrelation = 0;  ///< of a token's noise with the next
};

struct SimulatedRouting {
  stats::Signatures signatures;
  stats::RoutedTokens tokens;
};

/// Prompts p0, p1, … of categories c0, c1, …, in turn. A token's experts are the k largest of
/// preferences plus Gumbel noise: a draw without replacement in proportion to exp(preference).
inline SimulatedRouting simulated_routing(const SimulatedRoutingOptions& o, std::uint64_t seed) {
  RandomStream random(seed);
  const auto normals = [&](int n, double size) {
    std::vector<double> values(static_cast<std::size_t>(n));
    if (size == 0) return values;
    for (double& value : values) value = size * random.normal();
    return values;
  };
  const auto gumbel = [&] { return -std::log(-std::log(random.uniform() + 1e-300)); };
  const int d = o.n_layers * o.n_experts;
  std::vector<double> share = normals(o.n_types, 0.5);
  std::vector<std::vector<double>> taste;
  std::vector<std::vector<double>> context;
  for (int c = 0; c < o.n_categories; ++c) {
    taste.push_back(normals(o.n_types, o.type_share_effect));
    context.push_back(normals(d, o.context_effect));
  }
  std::vector<std::vector<double>> routing;
  for (int v = 0; v < o.n_types; ++v) {
    share[static_cast<std::size_t>(v)] -= std::log(1.0 + v);  // Zipf
    routing.push_back(normals(d, o.type_routing));
  }
  // Every other type is of no family.
  const auto family_of = [&](int v) { return v % 2 == 0 ? -1 : v / 2 % o.n_categories; };
  for (int c = 0; c < o.n_categories; ++c) {
    const std::vector<double> common = normals(d, o.family_routing);
    for (int v = 0; v < o.n_types; ++v) {
      if (family_of(v) != c) continue;
      const auto type = static_cast<std::size_t>(v);
      taste[static_cast<std::size_t>(c)][type] += o.family_share;
      for (std::size_t j = 0; j < common.size(); ++j) routing[type][j] += common[j];
    }
  }
  // The chance of every type, summed up.
  for (std::vector<double>& of_types : taste) {
    double sum = 0;
    for (std::size_t v = 0; v < share.size(); ++v) {
      sum += std::exp(share[v] + of_types[v]);
      of_types[v] = sum;
    }
  }
  const std::vector<double> at_start = normals(d, o.first_shift);
  const std::vector<double> generated = normals(d, o.generated_shift);
  const RoutingShape shape{o.n_layers, o.n_experts, o.top_k};
  const int n = o.n_categories * o.n_prompts;
  std::vector<stats::PromptLabel> labels;
  for (int i = 0; i < n; ++i) {
    labels.push_back({"p" + std::to_string(i), "c" + std::to_string(i % o.n_categories)});
  }
  stats::SignatureAccumulator signatures(shape, labels, {});
  stats::TokenAccumulator tokens(shape, labels.size(), {});
  for (int i = 0; i < n; ++i) {
    const auto c = static_cast<std::size_t>(i % o.n_categories);
    const std::vector<double> own = normals(d, o.prompt_effect);
    const int n_drawn =
        o.min_tokens +
        static_cast<int>(random.below(static_cast<std::uint64_t>(o.max_tokens - o.min_tokens + 1)));
    const int n_own = o.prompt_tokens.empty() ? n_drawn : o.prompt_tokens[c];
    const int n_tokens = n_own + (o.generated_tokens.empty() ? 0 : o.generated_tokens[c]);
    std::vector<double> previous(static_cast<std::size_t>(d));
    std::vector<double> earlier(previous.size());
    std::vector<double> drift(previous.size());
    for (int t = 0; t < n_tokens; ++t) {
      const double u = random.uniform() * taste[c].back();
      const auto type = static_cast<std::size_t>(
          std::upper_bound(taste[c].begin(), taste[c].end() - 1, u) - taste[c].begin());
      std::vector<double> liking(previous.size());
      for (std::size_t j = 0; j < liking.size(); ++j) {
        liking[j] = routing[type][j] + own[j] + context[c][j] + o.previous * previous[j] +
                    (t > 0 ? o.earlier * earlier[j] / std::sqrt(t) : 0);
        if (t < 10) liking[j] += at_start[j];
        if (t >= n_own) liking[j] += generated[j];
        earlier[j] += routing[type][j];
      }
      previous = routing[type];
      if (o.autocorrelation > 0) {
        const double rest = 1.28 * std::sqrt(1 - o.autocorrelation * o.autocorrelation);
        for (std::size_t j = 0; j < liking.size(); ++j) {
          drift[j] = t == 0 ? 1.28 * random.normal()
                            : o.autocorrelation * drift[j] + rest * random.normal();
          liking[j] += drift[j];
        }
      }
      for (int layer = 0; layer < o.n_layers; ++layer) {
        std::vector<std::pair<double, ExpertId>> order;
        for (int e = 0; e < o.n_experts; ++e) {
          const auto j = static_cast<std::size_t>(layer * o.n_experts + e);
          order.emplace_back(-(liking[j] + gumbel()), e);
        }
        std::sort(order.begin(), order.end());
        std::vector<ExpertId> experts;
        for (int j = 0; j < o.top_k; ++j)
          experts.push_back(order[static_cast<std::size_t>(j)].second);
        RoutingRecord record;
        record.layer = layer;
        record.pos = t;
        record.token_id = static_cast<TokenId>(type);
        record.type = t < n_own ? TokenType::prompt : TokenType::generation;
        record.experts = experts;
        signatures.add(static_cast<std::size_t>(i), record);
        tokens.add(static_cast<std::size_t>(i), record);
      }
    }
  }
  SimulatedRouting result{std::move(signatures).finish(), {}};
  result.tokens = std::move(tokens).finish(result.signatures);
  return result;
}

}  // namespace moexray::bench
