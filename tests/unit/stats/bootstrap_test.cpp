#include "moexray/stats/bootstrap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "moexray/core/error.h"
#include "moexray/core/random.h"
#include "moexray/stats/similarity.h"
#include "pair_auc.h"
#include "stats_support.h"

namespace moexray::stats {
namespace {

struct Sample {
  Matrix similarity;
  CategoryIndex categories;
  Units units;
};

Sample sample_of(const Signatures& s, const std::vector<std::string>& groups = {}) {
  const CategoryIndex categories = index_categories(s);
  return {pair_similarity(unit_blocks(s)), categories, make_units(s.ids, categories, groups)};
}

// A pair of prompts in a resample, its copies counted one by one.
struct Pair {
  double similarity;
  int a, b;  // categories
};

// Every copy of every unit written out, but for the pairs of a unit with its own copies.
std::vector<Pair> written_out(const Sample& sample, const std::vector<int>& weights) {
  std::vector<std::pair<int, int>> copies;  // unit, copy
  for (std::size_t u = 0; u < weights.size(); ++u) {
    for (int c = 0; c < weights[u]; ++c) copies.emplace_back(static_cast<int>(u), c);
  }
  std::vector<Pair> pairs;
  const auto add = [&](std::size_t i, std::size_t j) {
    pairs.push_back({sample.similarity(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)),
                     sample.categories.of_prompt[i], sample.categories.of_prompt[j]});
  };
  for (std::size_t x = 0; x < copies.size(); ++x) {
    const auto& members = sample.units.members[static_cast<std::size_t>(copies[x].first)];
    for (std::size_t i = 0; i < members.size(); ++i) {
      for (std::size_t j = i + 1; j < members.size(); ++j) add(members[i], members[j]);
    }
    for (std::size_t y = x + 1; y < copies.size(); ++y) {
      if (copies[x].first == copies[y].first) continue;
      for (const std::size_t i : members) {
        for (const std::size_t j :
             sample.units.members[static_cast<std::size_t>(copies[y].first)]) {
          add(i, j);
        }
      }
    }
  }
  return pairs;
}

// within, across, gap, d, balanced within, across, gap, logit AUC.
std::vector<double> plain_statistics(const std::vector<Pair>& pairs) {
  std::vector<double> w, a;
  std::map<std::pair<int, int>, std::vector<double>> cells;
  for (const Pair& p : pairs) {
    (p.a == p.b ? w : a).push_back(p.similarity);
    cells[std::minmax(p.a, p.b)].push_back(p.similarity);
  }
  const auto mean = [](const std::vector<double>& x) {
    double sum = 0;
    for (const double v : x) sum += v;
    return sum / static_cast<double>(x.size());
  };
  const auto squares = [&](const std::vector<double>& x) {
    double sum = 0;
    for (const double v : x) sum += (v - mean(x)) * (v - mean(x));
    return sum;
  };
  std::vector<double> diagonal, rest;
  for (const auto& [key, values] : cells) {
    (key.first == key.second ? diagonal : rest).push_back(mean(values));
  }
  double concordant = 0;
  for (const double x : w) {
    for (const double y : a) concordant += std::abs(x - y) < 5e-13 ? 0.5 : x > y ? 1 : 0;
  }
  const double p = concordant / static_cast<double>(w.size() * a.size());
  const double pooled =
      std::sqrt((squares(w) + squares(a)) / static_cast<double>(w.size() + a.size() - 2));
  return {mean(w),        mean(a),    mean(w) - mean(a),           (mean(w) - mean(a)) / pooled,
          mean(diagonal), mean(rest), mean(diagonal) - mean(rest), std::log(p / (1 - p))};
}

struct Plain {
  std::vector<double> values, errors;
};

Plain plain_evaluation(const Sample& sample, const std::vector<int>& weights) {
  Plain result{plain_statistics(written_out(sample, weights)), {}};
  std::map<int, std::vector<std::vector<double>>> jackknife;  // by stratum
  for (std::size_t u = 0; u < weights.size(); ++u) {
    for (int copy = 0; copy < weights[u]; ++copy) {
      std::vector<int> fewer = weights;
      --fewer[u];
      jackknife[sample.units.category[u]].push_back(plain_statistics(written_out(sample, fewer)));
    }
  }
  for (std::size_t s = 0; s < result.values.size(); ++s) {
    double variance = 0;
    for (const auto& [stratum, rows] : jackknife) {
      const auto n = static_cast<double>(rows.size());
      double mean = 0;
      for (const auto& row : rows) mean += row[s] / n;
      for (const auto& row : rows) variance += (n - 1) / n * (row[s] - mean) * (row[s] - mean);
    }
    result.errors.push_back(std::sqrt(variance));
  }
  return result;
}

double plain_quantile(std::vector<double> x, double p) {
  std::sort(x.begin(), x.end());
  const double h = p * (static_cast<double>(x.size()) + 1);
  const double floor = std::floor(h);
  if (floor < 1) return x.front();
  if (floor >= static_cast<double>(x.size())) return x.back();
  const auto i = static_cast<std::size_t>(floor);
  return x[i - 1] + (h - floor) * (x[i] - x[i - 1]);
}

std::vector<const IntervalEstimate*> all_of(const BootstrapResult& r) {
  return {&r.within,          &r.across,          &r.gap,          &r.cohens_d,
          &r.balanced_within, &r.balanced_across, &r.balanced_gap, &r.auc};
}

// The whole procedure with every copy of every prompt written out.
void expect_as_written_out(const Sample& sample, int n_resamples) {
  const BootstrapResult found = bootstrap(sample.similarity, sample.categories, sample.units,
                                          {.n_resamples = n_resamples, .seed = 7, .n_threads = 2});
  const std::vector<int> ones(sample.units.size(), 1);
  const Plain observed = plain_evaluation(sample, ones);
  std::vector<std::vector<double>> t(observed.values.size());
  for (int r = 0; r < n_resamples; ++r) {
    RandomStream random(7, "bootstrap " + std::to_string(r));
    std::vector<int> weights(sample.units.size());
    std::vector<std::vector<std::size_t>> strata(sample.categories.names.size() + 1);
    for (std::size_t u = 0; u < sample.units.size(); ++u) {
      const int c = sample.units.category[u];
      strata[c < 0 ? strata.size() - 1 : static_cast<std::size_t>(c)].push_back(u);
    }
    for (const auto& stratum : strata) {
      for (std::size_t i = 0; i < stratum.size(); ++i) {
        ++weights[stratum[random.below(stratum.size())]];
      }
    }
    const Plain resample = plain_evaluation(sample, weights);
    for (std::size_t s = 0; s < t.size(); ++s) {
      t[s].push_back((resample.values[s] - observed.values[s]) / resample.errors[s]);
    }
  }
  const auto estimates = all_of(found);
  for (std::size_t s = 0; s < t.size(); ++s) {
    SCOPED_TRACE(s);
    const auto scale = [&](double x) { return s == 7 ? 1 / (1 + std::exp(-x)) : x; };
    const double theta = observed.values[s];
    EXPECT_NEAR(estimates[s]->estimate, scale(theta), 1e-12);
    EXPECT_NEAR(estimates[s]->standard_error, observed.errors[s], 1e-10);
    ASSERT_TRUE(estimates[s]->has_interval()) << estimates[s]->reason;
    EXPECT_NEAR(estimates[s]->low, scale(theta - plain_quantile(t[s], 0.975) * observed.errors[s]),
                1e-9);
    EXPECT_NEAR(estimates[s]->high, scale(theta - plain_quantile(t[s], 0.025) * observed.errors[s]),
                1e-9);
  }
}

TEST(Bootstrap, IsWhatWritingEveryCopyOutGives) {
  const Signatures s =
      test::random_signatures(test::mixed_categories({7, 6, 9}, 1), 2, {.effect = 0.15});
  expect_as_written_out(sample_of(s), 43);
}

TEST(Bootstrap, DrawsWholeGroups) {
  // Groups inside categories, of one to three prompts, and prompts by themselves.
  const std::vector<std::string> categories{"a", "a", "a", "a", "a", "a", "a", "b", "b",
                                            "b", "b", "b", "b", "b", "b", "b", "a", "b"};
  const std::vector<std::string> groups{"g", "g", "h", "h", "h", "i", "",  "j", "j",
                                        "k", "k", "l", "l", "l", "",  "m", "",  ""};
  const Signatures s = test::random_signatures(categories, 4, {.effect = 0.1});
  const Sample sample = sample_of(s, groups);
  ASSERT_TRUE(sample.units.nested());
  expect_as_written_out(sample, 40);
}

TEST(Bootstrap, DrawsGroupsThatHoldSeveralCategories) {
  std::vector<std::string> categories, groups;
  for (int i = 0; i < 24; ++i) {
    categories.push_back(i % 3 == 0 ? "a" : i % 3 == 1 ? "b" : "c");
    groups.push_back("g" + std::to_string(i / 4));
  }
  const Signatures s = test::random_signatures(categories, 5, {.effect = 0.1});
  expect_as_written_out(sample_of(s, groups), 40);
}

TEST(Bootstrap, TiesCountHalf) {
  // Few experts and few counts: many similarities are equal, within and across.
  std::vector<std::vector<int>> counts;
  std::vector<std::string> categories;
  RandomStream random(3);
  for (int i = 0; i < 16; ++i) {
    counts.push_back({1 + static_cast<int>(random.below(2)), 1 + static_cast<int>(random.below(2)),
                      i % 2 == 0 ? 1 : 1 + static_cast<int>(random.below(2))});
    categories.push_back(i % 2 == 0 ? "a" : "b");
  }
  expect_as_written_out(sample_of(test::signatures_from_counts(counts, 1, 3, 1, categories)), 30);
}

TEST(Bootstrap, DependsOnTheSeedAlone) {
  const Signatures s = test::random_signatures(test::mixed_categories({8, 8}, 1), 2);
  const Sample sample = sample_of(s);
  const auto run = [&](std::uint64_t seed, int n_threads) {
    return bootstrap(sample.similarity, sample.categories, sample.units,
                     {.n_resamples = 99, .seed = seed, .n_threads = n_threads})
        .gap.low;
  };
  EXPECT_EQ(run(1, 1), run(1, 3));
  EXPECT_NE(run(1, 1), run(2, 1));
}

TEST(Bootstrap, SaysWhyThereIsNoInterval) {
  const auto run = [](const Signatures& s) {
    const Sample sample = sample_of(s);
    return bootstrap(sample.similarity, sample.categories, sample.units, {.n_resamples = 99});
  };
  const BootstrapResult one = run(test::random_signatures({"a", "a", "a", "a", "a", "a"}, 1));
  EXPECT_TRUE(one.within.has_interval());
  EXPECT_TRUE(std::isnan(one.gap.estimate));
  EXPECT_EQ(one.gap.reason, "only one category");
  EXPECT_EQ(one.auc.reason, "only one category");
  const BootstrapResult single = run(test::random_signatures({"a", "a", "a", "a", "b"}, 1));
  EXPECT_EQ(single.gap.reason, "category \"b\" has one prompt");
  EXPECT_TRUE(std::isnan(single.gap.low));
  EXPECT_FALSE(std::isnan(single.gap.estimate));
  EXPECT_TRUE(single.gap.method.empty());
  // Two or three prompts a category: a category without one has no pair, a resample often none.
  const BootstrapResult two = run(test::random_signatures({"a", "a", "b", "b"}, 1));
  EXPECT_EQ(two.balanced_within.reason, "no spread among units");
  const BootstrapResult three = run(test::random_signatures({"a", "a", "a", "b", "b", "b"}, 1));
  EXPECT_EQ(three.balanced_within.reason, "undefined in too many resamples: too few units");
  // All prompts alike.
  const BootstrapResult same = run(test::signatures_from_counts(
      {{1, 2}, {1, 2}, {1, 2}, {1, 2}, {1, 2}, {1, 2}}, 1, 2, 1, {"a", "a", "a", "b", "b", "b"}));
  EXPECT_EQ(same.within.reason, "no spread among units");
  EXPECT_EQ(same.cohens_d.reason, "the estimate is undefined");
  EXPECT_EQ(same.auc.estimate, 0.5);
}

TEST(Bootstrap, SeparatedPairsHaveNoAucInterval) {
  std::vector<std::vector<int>> counts;
  std::vector<std::string> categories;
  for (int i = 0; i < 12; ++i) {
    counts.push_back(i % 2 == 0 ? std::vector{9, 1 + i % 3, 1} : std::vector{1, 1 + i % 5, 9});
    categories.push_back(i % 2 == 0 ? "a" : "b");
  }
  const Sample sample = sample_of(test::signatures_from_counts(counts, 1, 3, 1, categories));
  const BootstrapResult found =
      bootstrap(sample.similarity, sample.categories, sample.units, {.n_resamples = 99});
  EXPECT_EQ(found.auc.estimate, 1);
  EXPECT_EQ(found.auc.reason, "within and across pairs do not overlap");
  EXPECT_FALSE(found.auc_calibrated);
  EXPECT_TRUE(found.gap.has_interval());
}

TEST(Bootstrap, CanBeInterrupted) {
  const std::atomic<bool> stop{true};
  const Sample sample = sample_of(test::random_signatures(test::mixed_categories({8, 8}, 1), 2));
  EXPECT_THROW(bootstrap(sample.similarity, sample.categories, sample.units, {.stop = &stop}),
               Error);
}

}  // namespace
}  // namespace moexray::stats
