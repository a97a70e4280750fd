// How often each rung of the ladder of `confounds` finds something in made-up routing whose truth
// is known. docs/statistics.md has the table.
#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "ladder_cases.h"
#include "moexray/core/system.h"
#include "parallel.h"

int main(int argc, char** argv) {
  using namespace moexray::bench;
  const int n_sets = argc > 1 ? std::atoi(argv[1]) : 0;
  const std::string only = argc > 2 ? argv[2] : "";
  const auto seed = static_cast<std::uint64_t>(argc > 3 ? std::atoi(argv[3]) : 1);
  if (n_sets < 1 || argc > 4) {
    fmt::print(stderr, "usage: ladder_calibration DATA_SETS [WORLD [SEED]]\n");
    return 2;
  }
  constexpr int n_permutations = 39;  // p <= 0.05 has a chance of 5% if it should
  constexpr std::array tests = {types, decisive, previous, earlier, types_of_all, decisive_of_all};
  fmt::print("{} data sets of 80 prompts in 4 categories, {} permutations; p <= 0.05, %\n", n_sets,
             n_permutations);
  fmt::print("{:<32} {:>8} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12}\n", "world", "coverage",
             "types", "+ positions", "+ previous", "+ earlier", "types, all", "joint, all");
  for (const LadderCase& world : ladder_worlds()) {
    if (!only.empty() && only != world.name) continue;
    std::vector<LadderOutcome> outcomes(static_cast<std::size_t>(n_sets));
    moexray::stats::parallel_for(n_sets, moexray::available_threads(), [&](int i) {
      outcomes[static_cast<std::size_t>(i)] =
          ladder_outcome(world.options, seed, i, n_permutations, tests);
    });
    std::array<int, n_ladder_tests> n_found{};
    double coverage = 0;
    for (const LadderOutcome& outcome : outcomes) {
      for (std::size_t test = 0; test < n_found.size(); ++test) {
        n_found[test] += outcome.found[test];
      }
      coverage += outcome.coverage / n_sets;
    }
    fmt::print("{:<32} {:>8.2f}", world.name, coverage);
    for (const int n : n_found) {
      const double p = static_cast<double>(n) / n_sets;
      fmt::print(" {:>12}",
                 fmt::format("{:.1f} ± {:.1f}", 100 * p, 100 * std::sqrt(p * (1 - p) / n_sets)));
    }
    fmt::print("\n");
    std::fflush(stdout);
  }
}
