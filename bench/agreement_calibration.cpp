// How often the intervals of `compare` hold what a population of prompts has. docs/statistics.md
// has the table.
#include <fmt/core.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "agreement_cases.h"
#include "moexray/core/system.h"
#include "parallel.h"

namespace {

using namespace moexray;
using namespace moexray::bench;

void print_row(const std::string& name, const AgreementWorld& world, std::size_t n, int n_sets,
               std::uint64_t seed) {
  const auto truth = agreement_estimates(world, world.all);
  std::vector<std::array<stats::ClusteredEstimate, 5>> sets(static_cast<std::size_t>(n_sets));
  stats::parallel_for(n_sets, available_threads(), [&](int i) {
    RandomStream random(seed, "data set " + std::to_string(i));
    sets[static_cast<std::size_t>(i)] = agreement_estimates(world, world.sample(n, random));
  });
  fmt::print("{:<18} {:>4}", name, n);
  for (std::size_t q = 0; q < 5; ++q) {
    int n_intervals = 0;
    int n_covered = 0;
    double mean = 0;
    for (const auto& set : sets) {
      mean += set[q].estimate / n_sets;
      if (std::isnan(set[q].ci95[0])) continue;
      ++n_intervals;
      const bool covers =
          set[q].ci95[0] <= truth[q].estimate && truth[q].estimate <= set[q].ci95[1];
      if (covers) ++n_covered;
    }
    const double p = n_intervals > 0 ? static_cast<double>(n_covered) / n_intervals : NAN;
    fmt::print(" | {:>6.3f} {:>6.3f} {:>5.1f} ± {:.1f}", truth[q].estimate, mean, 100 * p,
               100 * std::sqrt(p * (1 - p) / n_intervals));
  }
  fmt::print("\n");
  std::fflush(stdout);
}

}  // namespace

// agreement_calibration [DATA_SETS [SEED]]
int main(int argc, char** argv) {
  const int n_sets = argc > 1 ? std::atoi(argv[1]) : 1000;
  const auto seed = static_cast<std::uint64_t>(argc > 2 ? std::atoll(argv[2]) : 1);
  fmt::print("{} data sets; the population's value, the mean estimate, coverage of 95% intervals\n",
             n_sets);
  fmt::print("{:<18} {:>4} | overlap | κ uniform | κ popularity | κ prompt | κ type\n", "second",
             "n");
  const std::array<std::pair<const char*, Change>, 4> changes = {
      {{"some experts", Change::some_experts},
       {"rotated", Change::rotated},
       {"of another type", Change::of_another_type},
       {"anything", Change::anything}}};
  for (const auto& [name, change] : changes) {
    const AgreementWorld world(change, 4000, seed);
    for (const std::size_t n : {10, 24, 80, 300}) print_row(name, world, n, n_sets, seed);
  }
  return 0;
}
