// Level, coverage and power of what `compare` says of usage. docs/statistics.md has the tables.
#include <fmt/core.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "moexray/core/system.h"
#include "parallel.h"
#include "usage_cases.h"

namespace {

using namespace moexray;
using namespace moexray::bench;

// A share of data sets with its standard error, in percent.
std::string share_text(double share, int n_sets) {
  return fmt::format("{:>5.1f} ± {:.1f}", 100 * share,
                     100 * std::sqrt(share * (1 - share) / n_sets));
}

void print_row(const char* name, const UsageWorld& world, const stats::UsageShift& truth,
               bool exchanged, std::size_t n, int n_sets, std::uint64_t seed) {
  std::vector<UsageOutcome> outcomes(static_cast<std::size_t>(n_sets));
  stats::parallel_for(n_sets, available_threads(), [&](int i) {
    RandomStream random(seed, "data set " + std::to_string(i));
    outcomes[static_cast<std::size_t>(i)] = usage_outcome(
        world.sample(n, exchanged, random), truth, 499, seed + static_cast<std::uint64_t>(i));
  });
  UsageOutcome sum;
  double claims = 0;
  double lists = 0;
  double found = 0;
  double categories = 0;
  for (const UsageOutcome& one : outcomes) {
    claims += one.any_claim ? 1.0 / n_sets : 0;
    lists += one.any_listed ? 1.0 / n_sets : 0;
    found += one.found ? 1.0 / n_sets : 0;
    categories += one.categories ? 1.0 / n_sets : 0;
    sum.covered += one.covered / n_sets;
    sum.entropy_covered += one.entropy_covered / n_sets;
  }
  fmt::print("{:<46} {:>4} | {} | {} | {} | {} |", name, n, share_text(claims, n_sets),
             share_text(lists, n_sets), share_text(found, n_sets), share_text(categories, n_sets));
  // Where the two are exchanged nothing is left of what the population's differences are.
  if (!exchanged) {
    fmt::print(" {:>5.1f} | {}", 100 * sum.covered, share_text(sum.entropy_covered, n_sets));
  }
  fmt::print("\n");
  std::fflush(stdout);
}

}  // namespace

// usage_calibration [DATA_SETS [LARGEST_N [SEED]]]
int main(int argc, char** argv) {
  const int n_sets = argc > 1 ? std::atoi(argv[1]) : 1000;
  const auto largest = static_cast<std::size_t>(argc > 2 ? std::atoi(argv[2]) : 300);
  const auto seed = static_cast<std::uint64_t>(argc > 3 ? std::atoll(argv[3]) : 1);
  struct Case {
    const char* name;
    bool exchanged;  // nothing shifts: levels
    UsageWorldOptions options;
  };
  const std::vector<int> by_category = {15, 30, 60, 120};
  const std::vector<Case> cases = {
      {"nothing shifts, 40 tokens", true, {}},
      {"nothing shifts, 10 to 80 tokens", true, {.spread_lengths = true}},
      {"nothing shifts, 10 to 80, autocorrelation 0.8",
       true,
       {.spread_lengths = true, .autocorrelation = 0.8}},
      {"all shift alike, 15/30/60/120 by category",
       false,
       {.lengths = by_category, .start_shift = 0.5}},
      {"two experts shift by 0.3, 10 to 80 tokens", false, {.spread_lengths = true, .shift = 0.3}},
      {"two experts shift by 0.6, autocorrelation 0.8",
       false,
       {.spread_lengths = true, .shift = 0.6, .autocorrelation = 0.8}},
      {"one category shifts by 0.4, 10 to 80 tokens",
       false,
       {.spread_lengths = true, .category_shift = 0.4}},
  };
  fmt::print(
      "{} data sets, %: any expert claimed; any listed; one of the two found; F of categories; "
      "coverage of differences; of entropies\n",
      n_sets);
  for (const Case& one : cases) {
    const UsageWorld world(one.options, seed);
    const stats::UsageShift truth = stats::usage_shift(world.population(), {.n_permutations = 1});
    for (const std::size_t n : {24, 80, 300}) {
      if (n <= largest) print_row(one.name, world, truth, one.exchanged, n, n_sets, seed);
    }
  }
  return 0;
}
