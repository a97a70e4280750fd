#include "moexray/stats/permutation_tests.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "json_matrix.h"
#include "label_shuffle.h"
#include "moexray/core/error.h"
#include "moexray/stats/layer_inference.h"
#include "moexray/stats/layers.h"
#include "moexray/stats/length_test.h"
#include "moexray/stats/similarity.h"
#include "stats_support.h"

namespace moexray::stats {
namespace {

CategoryIndex index_of(const std::vector<std::string>& labels) {
  Signatures s;
  s.categories = labels;
  for (std::size_t i = 0; i < labels.size(); ++i) s.ids.push_back("p" + std::to_string(i));
  return index_categories(s);
}

std::vector<std::string> ids_of(std::size_t n) {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < n; ++i) ids.push_back("p" + std::to_string(i));
  return ids;
}

// Two estimates of one p-value, ± 4 standard errors.
void expect_same_p(double found, double expected, int n_draws) {
  EXPECT_NEAR(found, expected, 4 * std::sqrt(2 * expected * (1 - expected) / n_draws) + 1e-4);
}

// scripts/make_permutation_fixtures.py
TEST(PermutationTests, AgreeWithScikitBio) {
  std::ifstream file(std::string(MOEXRAY_TEST_DATA) + "/permutation_tests.json");
  const auto cases = nlohmann::json::parse(file).at("cases");
  ASSERT_EQ(cases.size(), 5U);
  for (const auto& one : cases) {
    SCOPED_TRACE(one.at("name").get<std::string>());
    const Matrix x = test::matrix_from(one.at("rows"));
    const CategoryIndex categories = index_of(one.at("labels").get<std::vector<std::string>>());
    const Units units = make_units(ids_of(static_cast<std::size_t>(x.rows())), categories);
    const PermutationOptions options{.n_permutations = 9999, .seed = 3, .n_threads = 2};
    const LocationTests location = test_location(x, categories, units, options);
    const double f = one.at("permanova_f");
    EXPECT_NEAR(location.permanova.statistic, f, 1e-9 * f);
    expect_same_p(location.permanova.p_value, one.at("permanova_p"), 9999);
    const DispersionTest dispersion =
        test_dispersion(pair_similarity(x), categories, units, options);
    EXPECT_NEAR(dispersion.f.statistic, one.at("permdisp_f").get<double>(), 2e-5);
    expect_same_p(dispersion.f.p_value, one.at("permdisp_p"), 9999);
  }
}

TEST(PermutationTests, PermanovaIsThatOfTheDistances) {
  const Signatures s = test::random_signatures(test::mixed_categories({5, 9, 4}, 1), 2);
  const CategoryIndex categories = index_categories(s);
  const Matrix blocks = unit_blocks(s);
  const Matrix similarity = pair_similarity(blocks);
  // Anderson (2001): sums of squared distances within groups over their sizes.
  double total = 0;
  double within = 0;
  for (Eigen::Index i = 0; i < 18; ++i) {
    for (Eigen::Index j = 0; j < i; ++j) {
      const double squared = 2 * (1 - similarity(i, j));
      const int c = categories.of_prompt[static_cast<std::size_t>(i)];
      total += squared / 18;
      if (categories.of_prompt[static_cast<std::size_t>(j)] == c) {
        within += squared / static_cast<double>(categories.n_prompts[static_cast<std::size_t>(c)]);
      }
    }
  }
  const LocationTests found =
      test_location(blocks, categories, make_units(s.ids, categories), {.n_permutations = 99});
  EXPECT_NEAR(found.permanova.statistic, (total - within) / 2 / (within / 15), 1e-10);
  EXPECT_NEAR(found.r_squared, (total - within) / total, 1e-12);
  EXPECT_NEAR(found.gap.statistic, stats::similarity(s).gap, 1e-12);
}

TEST(PermutationTests, GapAgreesWithTheLabelShuffle) {
  const Signatures s =
      test::random_signatures(test::mixed_categories({5, 6, 4}, 1), 2, {.effect = 0.08});
  const CategoryIndex categories = index_categories(s);
  const Matrix blocks = unit_blocks(s);
  const double p = shuffle_labels(blocks, categories, s.ids, {.n_shuffles = 9999}).p_value;
  const LocationTests found =
      test_location(blocks, categories, make_units(s.ids, categories), {.n_permutations = 9999});
  ASSERT_GT(p, 0.001);
  ASSERT_LT(p, 0.999);
  expect_same_p(found.gap.p_value, p, 9999);
}

TEST(PermutationTests, GroupsAreTheUnits) {
  // Prompts of a group are alike and groups are not: 12 prompts look convincing, 6 groups do not.
  std::vector<std::vector<int>> counts;
  std::vector<std::string> categories, groups;
  RandomStream random(8);
  for (int g = 0; g < 6; ++g) {
    std::vector<int> taste;
    for (int e = 0; e < 12; ++e) taste.push_back(1 + static_cast<int>(random.below(60)));
    for (int i = 0; i < 4; ++i) {
      counts.push_back(taste);
      ++counts.back()[static_cast<std::size_t>(i)];
      categories.push_back(g < 3 ? "a" : "b");
      groups.push_back("g" + std::to_string(g));
    }
  }
  const Signatures s = test::signatures_from_counts(counts, 1, 12, 1, categories);
  const CategoryIndex index = index_categories(s);
  const PermutationOptions options{.n_permutations = 1999};
  const Units by_group = make_units(s.ids, index, groups);
  const LocationTests prompts =
      test_location(unit_blocks(s), index, make_units(s.ids, index), options);
  const LocationTests grouped = test_location(unit_blocks(s), index, by_group, options);
  EXPECT_LT(prompts.gap.p_value, 0.01);
  // Ten partitions of six groups into two threes.
  EXPECT_NEAR(smallest_p_value(by_group, index), 0.1, 1e-12);
  EXPECT_GT(grouped.gap.p_value, 0.07);
}

TEST(PermutationTests, OneGroupACategoryTestsNothing) {
  const Signatures s = test::random_signatures({"a", "a", "b", "b", "b"}, 2);
  const CategoryIndex categories = index_categories(s);
  const std::vector<std::string> groups{"g", "g", "h", "h", "h"};
  const Units units = make_units(s.ids, categories, groups);
  EXPECT_EQ(smallest_p_value(units, categories), 1);
  const LocationTests location = test_location(unit_blocks(s), categories, units, {});
  EXPECT_FALSE(std::isnan(location.gap.statistic));
  EXPECT_TRUE(std::isnan(location.gap.p_value));
  EXPECT_TRUE(std::isnan(location.permanova.p_value));
  EXPECT_TRUE(std::isnan(
      test_dispersion(pair_similarity(unit_blocks(s)), categories, units, {}).f.p_value));
  EXPECT_TRUE(std::isnan(test_layers(s, categories, units, {}).at(0).p_adjusted));
}

TEST(PermutationTests, SmallestPValueCountsPartitions) {
  const auto of = [](const std::vector<std::string>& labels,
                     const std::vector<std::string>& groups = {}) {
    const CategoryIndex categories = index_of(labels);
    return smallest_p_value(make_units(ids_of(labels.size()), categories, groups), categories);
  };
  EXPECT_NEAR(of({"a", "a", "b", "b"}), 1.0 / 3, 1e-12);
  EXPECT_NEAR(of({"a", "a", "b", "b", "b"}), 1.0 / 10, 1e-12);
  EXPECT_EQ(of({"a", "a", "a"}), 1);
  // Within groups g and h: 2 · 3 labellings.
  EXPECT_NEAR(of({"a", "b", "a", "a", "b"}, {"g", "g", "h", "h", "h"}), 1.0 / 6, 1e-12);
}

TEST(PermutationTests, UndefinedWithoutCategoriesOrSpread) {
  const auto run = [](const Signatures& s) {
    const CategoryIndex categories = index_categories(s);
    const Units units = make_units(s.ids, categories);
    const LocationTests location = test_location(unit_blocks(s), categories, units, {});
    const DispersionTest dispersion =
        test_dispersion(pair_similarity(unit_blocks(s)), categories, units, {});
    EXPECT_TRUE(std::isnan(location.permanova.statistic));
    EXPECT_TRUE(std::isnan(location.permanova.p_value));
    EXPECT_TRUE(std::isnan(location.gap.p_value));
    EXPECT_TRUE(std::isnan(dispersion.f.statistic));
    EXPECT_TRUE(std::isnan(dispersion.f.p_value));
    EXPECT_TRUE(std::isnan(test_layers(s, categories, units, {}).at(0).p_adjusted));
  };
  run(test::random_signatures({"a", "a", "a"}, 1));
  run(test::random_signatures({"a", "b", "c"}, 1));
  run(test::signatures_from_counts({{1, 2}, {1, 2}, {1, 2}, {1, 2}}, 1, 2, 1,
                                   {"a", "a", "b", "b"}));
}

TEST(LayerTests, AreTheMaxTOfAllRelabellings) {
  const Signatures s =
      test::random_signatures({"a", "b", "a", "b", "a", "b"}, 9, {.n_layers = 3, .effect = 0.2});
  const CategoryIndex categories = index_categories(s);
  const LayersResult observed = layer_separation(s);
  // Every way to label the prompts.
  std::vector<std::string> labels = s.categories;
  std::sort(labels.begin(), labels.end());
  std::vector<double> largest;
  do {
    Signatures relabelled = s;
    relabelled.categories = labels;
    double most = 0;
    for (const LayerSeparation& layer : layer_separation(relabelled).layers) {
      most = std::max(most, std::abs(layer.cohens_d));
    }
    largest.push_back(most);
  } while (std::next_permutation(labels.begin(), labels.end()));
  ASSERT_EQ(largest.size(), 20U);
  const auto found = test_layers(s, categories, make_units(s.ids, categories),
                                 {.n_permutations = 19999, .n_threads = 2});
  ASSERT_EQ(found.size(), 3U);
  for (std::size_t layer = 0; layer < 3; ++layer) {
    const double d = observed.layers[layer].cohens_d;
    EXPECT_NEAR(found[layer].cohens_d, d, 1e-10);
    const auto n = std::count_if(largest.begin(), largest.end(),
                                 [&](double other) { return other >= std::abs(d) - 1e-9; });
    expect_same_p(found[layer].p_adjusted, static_cast<double>(n) / 20, 19999);
  }
}

TEST(LayerTests, LimitIsWhatAnAdjustedPOfFivePercentAsksFor) {
  int n_above = 0;
  int n_below = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Signatures s = test::random_signatures(test::mixed_categories({5, 5}, seed), seed,
                                                 {.n_layers = 4, .effect = 0.05});
    const CategoryIndex categories = index_categories(s);
    const Units units = make_units(s.ids, categories);
    for (const LayerTest& layer :
         test_layers(s, categories, units, {.n_permutations = 99, .seed = seed})) {
      ASSERT_FALSE(std::isnan(layer.limit95));
      EXPECT_EQ(layer.p_adjusted <= 0.05, std::abs(layer.cohens_d) > layer.limit95 + 1e-12)
          << layer.p_adjusted << " " << layer.cohens_d << " " << layer.limit95;
      ++(layer.p_adjusted <= 0.05 ? n_above : n_below);
    }
    EXPECT_TRUE(std::isnan(test_layers(s, categories, units, {.n_permutations = 18}).at(0).limit95))
        << "no p can be so small";
  }
  EXPECT_GT(n_above, 0);
  EXPECT_GT(n_below, 0);
}

TEST(InferLayers, GivesTheIntervalOfEachLayerAlone) {
  const Signatures s =
      test::random_signatures(test::mixed_categories({6, 7}, 1), 2, {.n_layers = 3, .effect = 0.1});
  const LayerInference found =
      infer_layers(s, whole_prompts(s, {}), {},
                   {.n_permutations = 199, .n_resamples = 299, .seed = 4, .n_threads = 2});
  ASSERT_EQ(found.tests.size(), 3U);
  ASSERT_EQ(found.intervals.size(), 3U);
  EXPECT_EQ(found.n_permutations, 199);
  EXPECT_EQ(found.n_resamples, 299);
  EXPECT_EQ(found.tests_left_out + found.intervals_left_out, "");
  const LayersResult layers = layer_separation(s);
  for (std::size_t layer = 0; layer < 3; ++layer) {
    EXPECT_NEAR(found.tests[layer].cohens_d, layers.layers[layer].cohens_d, 1e-10);
    EXPECT_NEAR(found.intervals[layer].estimate, layers.layers[layer].cohens_d, 1e-10);
    EXPECT_LT(found.intervals[layer].low, found.intervals[layer].estimate);
    EXPECT_GT(found.intervals[layer].high, found.intervals[layer].estimate);
  }
}

TEST(InferLayers, SaysWhyThereIsNothing) {
  // One prompt a category: no relabelling differs from another.
  Signatures s = test::random_signatures({"a", "b"}, 2, {.n_layers = 2});
  LayerInference found =
      infer_layers(s, whole_prompts(s, {}), {}, {.n_permutations = 99, .n_resamples = 199});
  EXPECT_FALSE(found.tests_left_out.empty());
  EXPECT_FALSE(found.intervals_left_out.empty());
  // More prompts than 199 resamples are affordable for: 4·n²·L·199 > 4·10⁹.
  s = test::random_signatures(test::mixed_categories({300, 300}, 1), 2, {.n_layers = 15});
  found = infer_layers(s, whole_prompts(s, {}), {}, {.n_permutations = 19, .n_resamples = 999});
  EXPECT_EQ(found.tests.size(), 15U);
  EXPECT_TRUE(found.intervals.empty());
  EXPECT_EQ(found.intervals_left_out, "too many prompts");
}

TEST(PermutationTests, DependOnTheSeedAloneAndCanBeInterrupted) {
  const Signatures s =
      test::random_signatures(test::mixed_categories({6, 6}, 1), 2, {.effect = 0.05});
  const CategoryIndex categories = index_categories(s);
  const Units units = make_units(s.ids, categories);
  const auto run = [&](std::uint64_t seed, int n_threads) {
    const PermutationOptions options{.n_permutations = 499, .seed = seed, .n_threads = n_threads};
    return std::vector<double>{
        test_location(unit_blocks(s), categories, units, options).permanova.p_value,
        test_dispersion(pair_similarity(unit_blocks(s)), categories, units, options).f.p_value,
        test_layers(s, categories, units, options).at(0).p_adjusted};
  };
  EXPECT_EQ(run(1, 1), run(1, 3));
  EXPECT_NE(run(1, 1), run(2, 1));
  const std::atomic<bool> stop{true};
  EXPECT_THROW(test_location(unit_blocks(s), categories, units, {.stop = &stop}), Error);
  EXPECT_THROW(test_dispersion(pair_similarity(unit_blocks(s)), categories, units, {.stop = &stop}),
               Error);
  EXPECT_THROW(test_layers(s, categories, units, {.stop = &stop}), Error);
}

TEST(PermutationTests, LengthsThatGoWithTheCategory) {
  const CategoryIndex categories = index_of({"a", "b", "a", "b", "a", "b", "a", "b", "a", "b"});
  const Units units = make_units(ids_of(10), categories);
  const PermutationOptions options{.n_permutations = 999, .n_threads = 2};
  const std::vector<std::int64_t> lengths{15, 60, 17, 66, 14, 58, 19, 71, 16, 63};
  const LengthTest found = test_lengths(lengths, categories, units, options);
  EXPECT_NEAR(found.mean_tokens[0], 16.2, 1e-12);
  EXPECT_NEAR(found.mean_tokens[1], 63.6, 1e-12);
  // One-way analysis of variance of the logarithms, in plain loops.
  std::array<std::vector<double>, 2> logs;
  for (std::size_t i = 0; i < 10; ++i) {
    logs[i % 2].push_back(std::log1p(static_cast<double>(lengths[i])));
  }
  const double difference = test::mean_of(logs[0]) - test::mean_of(logs[1]);
  const double within = 4 * (test::variance_of(logs[0]) + test::variance_of(logs[1]));
  const double f = 2.5 * difference * difference / (within / 8);
  EXPECT_NEAR(found.f.statistic, f, 1e-9 * f);
  // 2 of the 252 ways to choose five of ten prompts reach it: this one and its mirror image.
  expect_same_p(found.f.p_value, 2.0 / 252, 999);

  const std::vector<std::int64_t> alike{15, 16, 60, 61, 15, 16, 60, 61, 30, 30};
  EXPECT_GT(test_lengths(alike, categories, units, options).f.p_value, 0.5);
  const std::vector<std::int64_t> equal(10, 32);
  EXPECT_TRUE(std::isnan(test_lengths(equal, categories, units, options).f.p_value));
  // Lengths that are the category's own leave nothing within.
  const std::vector<std::int64_t> own{15, 60, 15, 60, 15, 60, 15, 60, 15, 60};
  const LengthTest exact = test_lengths(own, categories, units, options);
  EXPECT_TRUE(std::isfinite(exact.f.statistic));
  expect_same_p(exact.f.p_value, 2.0 / 252, 999);
}

}  // namespace
}  // namespace moexray::stats
