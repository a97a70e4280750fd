#pragma once

// What each rung of the ladder of confounds() says of routing whose truth is known, for
// bench/ladder_calibration and its short form among the tests.

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "calibration_cases.h"
#include "ladder.h"
#include "moexray/stats/compared_prompts.h"

namespace moexray::bench {

/// The rungs on the compared positions, and two over all tokens, on which nothing rests.
enum LadderTest { types, decisive, previous, earlier, types_of_all, decisive_of_all };
inline constexpr std::size_t n_ladder_tests = 6;

struct LadderOutcome {
  bool tested = false;
  std::array<bool, n_ladder_tests> found{};  ///< p ≤ 0.05
  double coverage = 0;                       ///< of the decisive rung
};

struct LadderCase {
  const char* name;
  SimulatedRoutingOptions options;
};

/// Data set `i`: a world of its own.
/// @param tests which ones, the others being left out
inline LadderOutcome ladder_outcome(const SimulatedRoutingOptions& options, std::uint64_t seed,
                                    int i, int n_permutations, std::span<const LadderTest> tests) {
  const std::uint64_t own = RandomStream(seed, "data set " + std::to_string(i))();
  const SimulatedRouting w = simulated_routing(options, own);
  const ComparedPrompts compared =
      compared_prompts(w.tokens, w.signatures, {}, TokenSelection::all);
  LadderOutcome outcome;
  outcome.tested = compared.comparable();
  if (!outcome.tested) return outcome;
  constexpr int n_folds = 5;
  constexpr int min_type_count = 5;
  const std::vector<int> folds =
      grouped_folds(compared.signatures.ids, compared.categories, compared.units, n_folds, own);
  const auto sets = ladder_sets(w.tokens, compared, min_type_count, folds);
  outcome.coverage = sets[2].coverage;
  for (const LadderTest test : tests) {
    const bool of_all = test >= types_of_all;
    FeatureMaker maker;
    if (of_all) {
      TokenRoles roles = position_roles(w.tokens, compared.positions, test == decisive_of_all);
      roles.compared.clear();
      const auto routing = std::make_shared<const TypeRouting>(w.tokens, roles, min_type_count);
      maker = [routing](const SplitRows& rows) {
        const TypeSignatures s = routing->signatures(rows);
        return FeatureBlocks{{s.observed - s.expected, true}};
      };
    } else {
      maker = sets[static_cast<std::size_t>(test) + 1].features(0);
    }
    outcome.found[test] = permutation_p(maker, of_all ? w.signatures : compared.signatures,
                                        n_permutations, own) <= 0.05;
  }
  return outcome;
}

/// Categories differ in their words, and routing follows words, places and what the name says.
inline std::vector<LadderCase> ladder_worlds() {
  const SimulatedRoutingOptions base;
  const std::vector<int> lengths = {15, 30, 60, 120};
  std::vector<LadderCase> worlds;
  const auto add = [&](const char* name, auto change) {
    worlds.push_back({name, base});
    change(worlds.back().options);
  };
  add("words", [](auto&) {});
  add("words, lengths", [&](auto& o) { o.prompt_tokens = lengths; });
  add("first ten tokens, lengths", [&](auto& o) {
    o.prompt_tokens = lengths;
    o.first_shift = 1;
  });
  add("the same, autocorrelation 0.8", [&](auto& o) {
    o.prompt_tokens = lengths;
    o.first_shift = 1;
    o.autocorrelation = 0.8;
  });
  add("generated tokens, their share", [](auto& o) {
    o.prompt_tokens = {20, 20, 20, 20};
    o.generated_tokens = {0, 20, 40, 80};
    o.generated_shift = 1;
  });
  add("half the previous token", [](auto& o) { o.previous = 0.5; });
  add("sum of earlier tokens", [](auto& o) { o.earlier = 0.5; });
  add("context 0.4", [](auto& o) { o.context_effect = 0.4; });
  add("context 0.4, first ten, lengths", [&](auto& o) {
    o.prompt_tokens = lengths;
    o.first_shift = 1;
    o.context_effect = 0.4;
  });
  return worlds;
}

}  // namespace moexray::bench
