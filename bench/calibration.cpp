// How often the intervals of `moexray stats` cover what they estimate, and how often its tests
// reject, on made-up data. docs/statistics.md has the table.
#include <fmt/core.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "calibration_model.h"
#include "moexray/core/system.h"
#include "moexray/stats/bootstrap.h"
#include "moexray/stats/permutation_tests.h"
#include "parallel.h"

namespace {

using namespace moexray;
using calibration::RoutingModel;

struct Counts {
  std::array<std::atomic<int>, 5> covered{};  // within, across, gap, d, AUC
  std::array<std::atomic<int>, 5> defined{};
  std::array<std::atomic<int>, 5> below{};     // the interval lies below the truth
  std::array<std::atomic<int>, 4> rejected{};  // gap, PERMANOVA, PERMDISP, any layer
};

struct Run {
  RoutingModel model;
  int n_prompts = 20;
  int n_data_sets = 1000;
  int n_resamples = 999;
  int n_permutations = 999;
  std::uint64_t seed = 0;
  const char* name = "";
};

void count_interval(const stats::IntervalEstimate& estimate, double truth, std::size_t i,
                    Counts& counts) {
  if (!estimate.has_interval()) return;
  ++counts.defined[i];
  if (estimate.high < truth) ++counts.below[i];
  if (estimate.low <= truth && truth <= estimate.high) ++counts.covered[i];
}

void one_data_set(const Run& run, const stats::Matrix& rates, const calibration::Truth& truth,
                  int number, Counts& counts) {
  RandomStream random(run.seed, "data set " + std::to_string(number));
  const stats::Signatures s = calibration::draw_signatures(run.model, rates, run.n_prompts, random);
  const stats::CategoryIndex categories = stats::index_categories(s);
  const stats::Units units = stats::make_units(s.ids, categories);
  const stats::Matrix blocks = stats::unit_blocks(s);
  const stats::Matrix similarity = stats::pair_similarity(blocks);
  const auto seed = static_cast<std::uint64_t>(number);
  const stats::BootstrapResult found = stats::bootstrap(
      similarity, categories, units, {.n_resamples = run.n_resamples, .seed = seed});
  count_interval(found.within, truth.within, 0, counts);
  count_interval(found.across, truth.across, 1, counts);
  count_interval(found.gap, truth.gap, 2, counts);
  count_interval(found.cohens_d, truth.cohens_d, 3, counts);
  count_interval(found.auc, truth.auc, 4, counts);
  if (run.n_permutations == 0) return;
  const stats::PermutationOptions options{.n_permutations = run.n_permutations, .seed = seed};
  const stats::LocationTests location = stats::test_location(blocks, categories, units, options);
  if (location.gap.p_value <= 0.05) ++counts.rejected[0];
  if (location.permanova.p_value <= 0.05) ++counts.rejected[1];
  const stats::DispersionTest dispersion =
      stats::test_dispersion(similarity, categories, units, options);
  if (dispersion.f.p_value <= 0.05) ++counts.rejected[2];
  bool any = false;
  for (const stats::LayerTest& layer : stats::test_layers(s, categories, units, options)) {
    any = any || layer.p_adjusted <= 0.05;
  }
  if (any) ++counts.rejected[3];
}

void report(const Run& run, const calibration::Truth& truth, const Counts& counts) {
  const std::array<const char*, 5> names{"within", "across", "gap", "d", "AUC"};
  const std::array<double, 5> values{truth.within, truth.across, truth.gap, truth.cohens_d,
                                     truth.auc};
  fmt::print("{}{} × {}, {} prompts in each of {} categories, effect {}, {} data sets\n", run.name,
             run.model.n_layers, run.model.n_experts, run.n_prompts, run.model.n_categories,
             run.model.effect, run.n_data_sets);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double n = std::max(1, counts.defined[i].load());
    fmt::print("  {:7} truth {:7.4f}  covered {:5.1f} %  too low {:4.1f} %  (of {} intervals)\n",
               names[i], values[i], 100 * counts.covered[i] / n, 100 * counts.below[i] / n,
               counts.defined[i].load());
  }
  if (run.n_permutations > 0) {
    const auto percent = [&](std::size_t i) {
      return 100.0 * counts.rejected[i] / run.n_data_sets;
    };
    fmt::print(
        "  rejected at 5%: gap {:.1f} %, PERMANOVA {:.1f} %, PERMDISP {:.1f} %, "
        "any layer {:.1f} %\n",
        percent(0), percent(1), percent(2), percent(3));
  }
  std::fflush(stdout);
}

void simulate(const Run& run, int n_many) {
  const stats::Matrix rates = calibration::category_rates(run.model, run.seed);
  RandomStream random(run.seed, "truth");
  const calibration::Truth truth =
      calibration::truth_of(run.model, rates, run.n_prompts, n_many, random);
  Counts counts;
  stats::parallel_for(run.n_data_sets, available_threads(),
                      [&](int i) { one_data_set(run, rates, truth, i, counts); });
  report(run, truth, counts);
}

// Worlds that differ from the first one in a single way.
std::vector<Run> worlds(int n_data_sets, std::uint64_t seed) {
  Run base;
  base.model.effect = 0.4;
  base.model.concentration = 32;
  base.n_data_sets = n_data_sets;
  base.n_permutations = 0;
  base.seed = seed;
  std::vector<Run> all;
  const auto add = [&](const char* name, const auto& change) {
    Run run = base;
    change(run);
    run.name = name;
    all.push_back(run);
  };
  add("the same: ", [](Run&) {});
  add("lengths by category: ", [](Run& r) { r.model.length_factors = {0.25, 0.5, 1, 2}; });
  add("lengths vary: ", [](Run& r) { r.model.length_spread = 0.7; });
  add("popular experts: ", [](Run& r) { r.model.popularity = 1.5; });
  add("unequal sizes: ", [](Run& r) { r.model.size_factors = {2, 1, 0.5, 0.5}; });
  add("odd prompts: ", [](Run& r) { r.model.odd_share = 0.1; });
  add("few prompts: ", [](Run& r) { r.n_prompts = 10; });
  add("two categories: ", [](Run& r) { r.model.n_categories = 2; });
  add("few selections: ", [](Run& r) { r.model.n_selections = 30; });
  add("all of it: ", [](Run& r) {
    r.model.length_factors = {0.25, 0.5, 1, 2};
    r.model.length_spread = 0.7;
    r.model.popularity = 1.5;
    r.model.size_factors = {2, 1, 0.5, 0.5};
    r.model.odd_share = 0.1;
  });
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 9) {
    fmt::print(stderr,
               "usage: calibration EFFECT [DATA_SETS [RESAMPLES [PERMUTATIONS [PROMPTS [LAYERS "
               "EXPERTS [SEED]]]]]]\n"
               "       calibration worlds [DATA_SETS [SEED]]\n");
    return 2;
  }
  const auto integer = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  if (std::string_view(argv[1]) == "worlds") {
    for (const Run& run : worlds(integer(2, 1000), static_cast<std::uint64_t>(integer(3, 0)))) {
      simulate(run, 2000);
    }
    return 0;
  }
  Run run;
  run.model.effect = std::atof(argv[1]);
  run.n_data_sets = integer(2, run.n_data_sets);
  run.n_resamples = integer(3, run.n_resamples);
  run.n_permutations = integer(4, run.n_permutations);
  run.n_prompts = integer(5, run.n_prompts);
  run.model.n_layers = integer(6, run.model.n_layers);
  run.model.n_experts = integer(7, run.model.n_experts);
  run.model.concentration = 2.0 * run.model.n_experts;
  run.model.n_selections = 10 * run.model.n_experts;
  run.seed = static_cast<std::uint64_t>(integer(8, 0));
  simulate(run, 4000);
}
