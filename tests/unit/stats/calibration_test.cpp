// A short form of bench/calibration: intervals cover, and tests reject, about as often as they
// should. Its bounds are those of the few data sets it has time for.
#include <gtest/gtest.h>

#include "calibration_model.h"
#include "moexray/stats/bootstrap.h"
#include "moexray/stats/permutation_tests.h"

namespace moexray::stats {
namespace {

using calibration::RoutingModel;

constexpr int n_prompts = 20;
constexpr int n_data_sets = 200;

// How many of the intervals of within, across, gap, d and AUC hold the truth.
std::vector<int> covered(const RoutingModel& model) {
  const Matrix rates = calibration::category_rates(model, 1);
  RandomStream random(1, "truth");
  const calibration::Truth truth = calibration::truth_of(model, rates, n_prompts, 1500, random);
  std::vector<int> counts(5);
  for (int i = 0; i < n_data_sets; ++i) {
    const Signatures s = calibration::draw_signatures(model, rates, n_prompts, random);
    const CategoryIndex categories = index_categories(s);
    const BootstrapResult found =
        bootstrap(pair_similarity(unit_blocks(s)), categories, make_units(s.ids, categories),
                  {.n_resamples = 399, .seed = static_cast<std::uint64_t>(i)});
    const auto count = [&](std::size_t j, const IntervalEstimate& estimate, double value) {
      EXPECT_TRUE(estimate.has_interval()) << estimate.reason;
      if (estimate.low <= value && value <= estimate.high) ++counts[j];
    };
    count(0, found.within, truth.within);
    count(1, found.across, truth.across);
    count(2, found.gap, truth.gap);
    count(3, found.cohens_d, truth.cohens_d);
    count(4, found.auc, truth.auc);
  }
  return counts;
}

// 93 to 97% of 200, give or take three binomial deviations of 3.
TEST(Calibration, IntervalsCoverAnEffect) {
  for (const int n : covered({.effect = 0.4})) {
    EXPECT_GE(n, 177);
    EXPECT_LE(n, 200);
  }
}

TEST(Calibration, IntervalsCoverNoEffect) {
  for (const int n : covered({.effect = 0})) EXPECT_GE(n, 177);
}

// 5% of 400 are 20; 3.5 binomial deviations of 4.4.
TEST(Calibration, TestsRejectAtTheirLevel) {
  const RoutingModel model{.effect = 0};
  const Matrix rates = calibration::category_rates(model, 2);
  RandomStream random(2);
  std::vector<int> rejected(4);
  for (int i = 0; i < 2 * n_data_sets; ++i) {
    const Signatures s = calibration::draw_signatures(model, rates, n_prompts, random);
    const CategoryIndex categories = index_categories(s);
    const Units units = make_units(s.ids, categories);
    const Matrix blocks = unit_blocks(s);
    const PermutationOptions options{.n_permutations = 199, .seed = static_cast<std::uint64_t>(i)};
    const LocationTests location = test_location(blocks, categories, units, options);
    const DispersionTest dispersion =
        test_dispersion(pair_similarity(blocks), categories, units, options);
    double smallest = 1;
    for (const LayerTest& layer : test_layers(s, categories, units, options)) {
      smallest = std::min(smallest, layer.p_adjusted);
    }
    rejected[0] += location.gap.p_value <= 0.05 ? 1 : 0;
    rejected[1] += location.permanova.p_value <= 0.05 ? 1 : 0;
    rejected[2] += dispersion.f.p_value <= 0.05 ? 1 : 0;
    rejected[3] += smallest <= 0.05 ? 1 : 0;
  }
  for (const int n : rejected) {
    EXPECT_GE(n, 5);
    EXPECT_LE(n, 35);
  }
}

}  // namespace
}  // namespace moexray::stats
