#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/stats/agreement.h"
#include "simulated_routing.h"

namespace moexray::bench {

/// How the second routing of an AgreementWorld comes from the first.
enum class Change {
  some_experts,  ///< single experts are replaced, more often in some prompts than in others
  rotated,       ///< a token's experts are those of another token of its prompt: κ beyond it is 0
  of_another_type,  ///< those of a token of the same type in another prompt: κ beyond types is 0
  anything          ///< random sets: no κ but 0
};

/// Two routings of a population of prompts, of which data sets are drawn.
struct AgreementWorld {
  stats::RoutedTokens first;
  stats::RoutedTokens second;
  stats::Alignment all;

  AgreementWorld(Change change, int n_prompts, std::uint64_t seed) {
    SimulatedRoutingOptions options;
    options.n_categories = 1;
    options.n_prompts = n_prompts;
    options.n_layers = 1;
    options.n_experts = 16;
    options.top_k = 4;
    options.prompt_effect = 0.7;
    options.min_tokens = 10;
    options.max_tokens = 120;
    SimulatedRouting made = simulated_routing(options, seed);
    first = std::move(made.tokens);
    second = first;
    RandomStream random(seed, "second");
    switch (change) {
      case Change::some_experts:
        replace_some(random);
        break;
      case Change::rotated:
        rotate(random);
        break;
      case Change::of_another_type:
        take_from_type(random);
        break;
      case Change::anything:
        for (std::size_t t = 0; t < second.tokens.size(); ++t) draw_set(t, random);
        break;
    }
    all = stats::align(made.signatures, first, made.signatures, second, {});
  }

  /// n prompts of the population, each at most once.
  stats::Alignment sample(std::size_t n, RandomStream& random) const {
    stats::Alignment alignment;
    std::vector<std::size_t> order(all.prompts.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    for (std::size_t i = 0; i < n; ++i) {
      std::swap(order[i], order[i + random.below(order.size() - i)]);
      alignment.prompts.push_back(all.prompts[order[i]]);
      alignment.prompts.back().unit = static_cast<int>(i);
      alignment.n_tokens += alignment.prompts.back().tokens.size();
    }
    alignment.n_units = n;
    return alignment;
  }

 private:
  std::uint16_t* set_of(std::size_t token) {
    return second.experts.data() + token * static_cast<std::size_t>(first.shape.top_k);
  }
  std::uint16_t any(RandomStream& random) const {
    return static_cast<std::uint16_t>(
        random.below(static_cast<std::uint64_t>(first.shape.n_experts)));
  }

  void draw_set(std::size_t token, RandomStream& random) {
    std::uint16_t* const set = set_of(token);
    for (int j = 0; j < first.shape.top_k; ++j) {
      do {
        set[j] = any(random);
      } while (std::count(set, set + j, set[j]) > 0);
    }
  }

  void replace_some(RandomStream& random) {
    const int k = first.shape.top_k;
    for (std::size_t i = 0; i + 1 < first.first.size(); ++i) {
      const double chance = 0.3 * random.uniform() * random.uniform();
      for (std::size_t t = first.first[i]; t < first.first[i + 1]; ++t) {
        std::uint16_t* const set = set_of(t);
        for (int j = 0; j < k; ++j) {
          if (random.uniform() >= chance) continue;
          const std::uint16_t expert = any(random);
          if (std::count(set, set + k, expert) == 0) set[j] = expert;
        }
      }
    }
  }

  void take(std::size_t token, std::size_t from) {
    const auto source = first.at(from, 0);
    std::copy(source.begin(), source.end(), set_of(token));
  }

  void rotate(RandomStream& random) {
    for (std::size_t i = 0; i + 1 < first.first.size(); ++i) {
      const std::size_t begin = first.first[i];
      const std::size_t n = first.first[i + 1] - begin;
      const std::size_t by = 1 + random.below(n - 1);
      for (std::size_t t = 0; t < n; ++t) take(begin + t, begin + (t + by) % n);
    }
  }

  void take_from_type(RandomStream& random) {
    std::map<TokenId, std::vector<std::size_t>> of_type;
    for (std::size_t t = 0; t < first.tokens.size(); ++t) {
      of_type[first.tokens[t].id].push_back(t);
    }
    for (std::size_t t = 0; t < first.tokens.size(); ++t) {
      const std::vector<std::size_t>& same = of_type[first.tokens[t].id];
      take(t, same[random.below(same.size())]);
    }
  }
};

/// Whether intervals hold the population's value: of the overlap, then of κ by chance_levels.
using AgreementCover = std::array<bool, 5>;

inline std::array<stats::ClusteredEstimate, 5> agreement_estimates(
    const AgreementWorld& world, const stats::Alignment& alignment) {
  const stats::LayerAgreement layer =
      stats::agreement(world.first, world.second, alignment, {}).at(0);
  std::array<stats::ClusteredEstimate, 5> estimates;
  estimates[0] = layer.overlap;
  for (std::size_t i = 0; i < 4; ++i) estimates[i + 1] = layer.chance[i].kappa;
  return estimates;
}

}  // namespace moexray::bench
