// Level, power and coverage of what `compare` says of categories, geometry and matched experts.
// docs/statistics.md has the tables.
#include <fmt/core.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "moexray/core/system.h"
#include "moexray/stats/cka.h"
#include "moexray/stats/expert_matching.h"
#include "moexray/stats/paired_structure.h"
#include "moexray/stats/rsa.h"
#include "parallel.h"
#include "structure_cases.h"

namespace {

using namespace moexray;
using namespace moexray::bench;

constexpr std::array<const char*, 8> test_names = {"gap",    "d",      "AUC", "R²",
                                                   "Mantel", "within", "CKA", "match"};
constexpr std::array<const char*, 9> interval_names = {
    "gap", "d", "AUC", "R²", "r same", "r cross", "ρ first", "corrected", "overlap"};

// p-values and intervals of one data set.
struct Findings {
  std::array<double, test_names.size()> p{};
  std::array<stats::IntervalEstimate, interval_names.size()> intervals;
};

stats::IntervalEstimate interval_of(const stats::ClusteredEstimate& estimate) {
  stats::IntervalEstimate result;
  result.estimate = estimate.estimate;
  result.low = estimate.ci95[0];
  result.high = estimate.ci95[1];
  if (std::isnan(result.low)) result.reason = "none";
  return result;
}

Findings findings_of(const stats::PairedPrompts& pair) {
  Findings result;
  const stats::TestedPair tested = tested_pair(pair, stats::TokenSelection::all);
  const stats::PairedStructure structure = paired_structure(
      tested.prompts, {.n_repetitions = 0, .n_resamples = 399, .n_permutations = 199});
  for (std::size_t i = 0; i < 4; ++i) {
    result.p[i] = structure.numbers[i].test.p_two_sided;
    result.intervals[i] = structure.numbers[i].estimate.difference;
  }
  stats::RsaOptions geometry;
  geometry.n_resamples = 399;
  geometry.n_permutations = 199;
  const stats::RsaResult rsa = stats::rsa(pair, tested, geometry);
  result.p[4] = rsa.mantel.p_value;
  result.p[5] = rsa.mantel_within.p_value;
  result.intervals[4] = rsa.same_tokens;
  result.intervals[5] = rsa.cross_half;
  result.intervals[6] = rsa.reliability[0];
  result.intervals[7] = rsa.corrected;
  stats::CkaOptions layers;
  layers.n_permutations = 199;
  const stats::CkaResult cka = stats::cka(pair, tested, rsa.block, layers);
  result.p[6] = cka.p_adjusted.size() > 0 ? cka.p_adjusted.minCoeff() : NAN;
  stats::MatchingOptions matching;
  matching.n_permutations = 39;
  const stats::MatchingResult matched = match_experts(pair, matching);
  result.p[7] = matched.test.p_value;
  result.intervals[8] = interval_of(matched.layers.front().heldout_overlap);
  return result;
}

struct Case {
  std::string name;
  PairWorldOptions options;
  bool other_tokens = false;  // the second reads other tokens of other prompts
};

std::vector<Findings> simulated(const Case& one, int n_each, int n_sets, std::uint64_t seed) {
  const PairWorld world(one.options, seed);
  std::vector<Findings> sets(static_cast<std::size_t>(n_sets));
  stats::parallel_for(n_sets, available_threads(), [&](int i) {
    const auto number = static_cast<std::uint64_t>(i) + 1000 * seed;
    PairOfRoutings routings = world.draw(n_each, number);
    if (one.other_tokens) {
      PairOfRoutings others = world.draw(n_each, number + 500'000'000);
      routings.second = std::move(others.second);
      routings.second_tokens = std::move(others.second_tokens);
    }
    sets[static_cast<std::size_t>(i)] = findings_of(routings.paired());
  });
  return sets;
}

std::string percent(double n, double all) {
  if (all == 0) return "n/a";
  const double p = n / all;
  return fmt::format("{:.1f} ± {:.1f}", 100 * p, 100 * std::sqrt(p * (1 - p) / all));
}

void print_tests(const Case& one, int n, const std::vector<Findings>& sets) {
  fmt::print("{} | {}", one.name, n);
  for (std::size_t t = 0; t < test_names.size(); ++t) {
    double n_rejected = 0;
    double n_tested = 0;
    for (const Findings& set : sets) {
      if (std::isnan(set.p[t])) continue;
      n_tested += 1;
      n_rejected += set.p[t] <= 0.05 ? 1 : 0;
    }
    fmt::print(" | {}", percent(n_rejected, n_tested));
  }
  fmt::print("\n");
  std::fflush(stdout);
}

double mean_estimate(const std::vector<Findings>& sets, std::size_t which) {
  double sum = 0;
  double n = 0;
  for (const Findings& set : sets) {
    if (std::isnan(set.intervals[which].estimate)) continue;
    sum += set.intervals[which].estimate;
    n += 1;
  }
  return sum / n;
}

// Coverage of the mean estimate over the data sets of most prompts.
void print_intervals(const Case& one, int n, const std::vector<Findings>& sets,
                     const std::vector<Findings>& largest) {
  fmt::print("{} | {}", one.name, n);
  for (std::size_t i = 0; i < interval_names.size(); ++i) {
    const double truth = mean_estimate(largest, i);
    double n_covered = 0;
    double n_intervals = 0;
    for (const Findings& set : sets) {
      const stats::IntervalEstimate& interval = set.intervals[i];
      if (std::isnan(interval.estimate) || !interval.has_interval()) continue;
      n_intervals += 1;
      n_covered += interval.low <= truth && truth <= interval.high ? 1 : 0;
    }
    fmt::print(" | {} ({:.3f})", percent(n_covered, n_intervals), mean_estimate(sets, i));
  }
  fmt::print("\n");
  std::fflush(stdout);
}

void print_heads() {
  fmt::print("rejections at 5%, and coverage of 95% intervals with the mean estimate\nworld | n");
  for (const char* name : test_names) fmt::print(" | {}", name);
  fmt::print("\nworld | n");
  for (const char* name : interval_names) fmt::print(" | {}", name);
  fmt::print("\n");
}

}  // namespace

// structure_calibration [DATA_SETS [LARGEST_DATA_SETS [SEED [WORLD]]]]: the second number is that
// of data sets with 300 prompts; WORLD is one of those below by its number.
int main(int argc, char** argv) {
  const int n_sets = argc > 1 ? std::atoi(argv[1]) : 400;
  const int n_largest = argc > 2 ? std::atoi(argv[2]) : n_sets;
  const auto seed = static_cast<std::uint64_t>(argc > 3 ? std::atoll(argv[3]) : 1);
  const int only = argc > 4 ? std::atoi(argv[4]) : -1;
  const std::vector<int> unequal = {15, 30, 60, 120};
  const std::vector<Case> cases = {
      {"copies with noise of their own",
       {.category_effect = 0.4, .router_share = 1, .own_noise = 0.7}},
      {"the same, unequal lengths",
       {.category_effect = 0.4, .router_share = 1, .own_noise = 0.7, .category_tokens = unequal}},
      {"the second separates more",
       {.category_effect = 0.4,
        .second_category_effect = 0.1,
        .router_share = 1,
        .own_noise = 0.7}},
      {"prompts have nothing in common", {.prompt_share = 0, .router_share = 1}},
      {"the same, lengths 12 to 90",
       {.prompt_share = 0, .router_share = 1, .min_tokens = 12, .max_tokens = 90}},
      {"the same, autocorrelation 0.8",
       {.prompt_share = 0, .router_share = 1, .autocorrelation = 0.8}},
      {"categories alone in common", {.category_effect = 0.4, .prompt_share = 0}},
      {"the same, unequal lengths",
       {.category_effect = 0.4, .prompt_share = 0, .category_tokens = unequal}},
      {"half of the prompts' places in common", {.category_effect = 0.4, .prompt_share = 0.5}},
      {"the second reads other tokens", {.category_effect = 0.4}, true},
      {"the same, unequal lengths", {.category_effect = 0.4, .category_tokens = unequal}, true},
      {"unrelated routers, the same tokens", {.category_effect = 0.4}}};
  print_heads();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (only >= 0 && static_cast<int>(i) != only) continue;
    const Case& one = cases[i];
    std::vector<std::pair<int, std::vector<Findings>>> by_size;
    for (const int n_each : {6, 20, 75}) {  // of each of four categories
      const int n = n_each == 75 ? n_largest : n_sets;
      if (n > 0) by_size.emplace_back(4 * n_each, simulated(one, n_each, n, seed));
    }
    for (const auto& [n, sets] : by_size) print_tests(one, n, sets);
    for (const auto& [n, sets] : by_size) print_intervals(one, n, sets, by_size.back().second);
  }
  return 0;
}
