// How often the two-way tests of crossed prompts find something where there is nothing, and where
// there is. docs/statistics.md has the table.
#include <fmt/core.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "crossed_cases.h"
#include "moexray/core/system.h"
#include "parallel.h"

namespace {

using namespace moexray;
using namespace moexray::bench;

std::string found_percent(const std::vector<CrossedOutcome>& outcomes,
                          double CrossedOutcome::* p_value) {
  const auto n = static_cast<double>(outcomes.size());
  double n_found = 0;
  for (const CrossedOutcome& one : outcomes) n_found += one.*p_value <= 0.05 ? 1 : 0;
  const double p = n_found / n;
  return fmt::format("{:.1f} ± {:.1f}", 100 * p, 100 * std::sqrt(p * (1 - p) / n));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 4) {
    fmt::print(stderr, "usage: crossed_calibration [DATA_SETS [PERMUTATIONS [SEED]]]\n");
    return 2;
  }
  const auto integer = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  const int n_sets = integer(1, 400);
  const int n_permutations = integer(2, 199);
  const auto seed = static_cast<std::uint64_t>(integer(3, 0));
  fmt::print("{} data sets, {} relabellings; data sets with p at most 0.05, %\n", n_sets,
             n_permutations);
  fmt::print("{:<42} {:>12} {:>12} {:>12} {:>15}\n", "", "task", "topic", "interaction",
             "free residuals");
  for (const NamedCrossedWorld& named : crossed_worlds()) {
    std::vector<CrossedOutcome> outcomes(static_cast<std::size_t>(n_sets));
    stats::parallel_for(n_sets, available_threads(), [&](int i) {
      outcomes[static_cast<std::size_t>(i)] = crossed_outcome(named.world, seed, i, n_permutations);
    });
    fmt::print("{:<42} {:>12} {:>12} {:>12} {:>15}\n", named.name,
               found_percent(outcomes, &CrossedOutcome::category),
               found_percent(outcomes, &CrossedOutcome::topic),
               found_percent(outcomes, &CrossedOutcome::interaction),
               found_percent(outcomes, &CrossedOutcome::free_residuals));
    std::fflush(stdout);
  }
}
