#include "moexray/stats/expert_categories.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "expert_cases.h"
#include "moexray/stats/false_discovery.h"
#include "relabelling.h"

namespace moexray::stats {
namespace {

using bench::expert_world;
using bench::ExpertWorld;
using bench::ExpertWorldOptions;

constexpr std::int64_t n_draws = 99;

ExpertWorldOptions small_world(double effect = 0) {
  return {.n_prompts = {6, 8, 7},
          .n_tokens = {12, 20, 15},
          .n_layers = 2,
          .n_experts = 6,
          .top_k = 2,
          .effect = effect};
}

double squared_residuals(const std::vector<UnitCount>& units) {
  const double rate = clustered_rate(units).estimate;
  double squares = 0;
  for (const UnitCount& unit : units) squares += std::pow(unit.count - unit.tokens * rate, 2);
  return squares;
}

double tokens_of(const std::vector<UnitCount>& units) {
  double tokens = 0;
  for (const UnitCount& unit : units) tokens += unit.tokens;
  return tokens;
}

double plain_t(const std::vector<UnitCount>& own, const std::vector<UnitCount>& others) {
  const double pooled = (squared_residuals(own) + squared_residuals(others)) /
                        (static_cast<double>(own.size() + others.size()) - 2);
  const auto variance = [&](const std::vector<UnitCount>& units) {
    return std::max(clustered_rate(units).variance,
                    static_cast<double>(units.size()) * pooled / std::pow(tokens_of(units), 2));
  };
  const double difference = clustered_rate(own).estimate - clustered_rate(others).estimate;
  return std::abs(difference) < 1e-12 ? 0
                                      : difference / std::sqrt(variance(own) + variance(others));
}

// t of every cell under these labels of the prompts that are compared, in plain loops.
std::vector<double> plain_t(const CountMatrix& counts, std::int64_t n_tokens, const Units& units,
                            const std::vector<int>& labels, int n_categories) {
  std::vector<double> result;
  for (Eigen::Index column = 0; column < counts.cols(); ++column) {
    for (int c = 0; c < n_categories; ++c) {
      std::vector<UnitCount> own;
      std::vector<UnitCount> others;
      for (const auto& members : units.members) {
        UnitCount unit;
        for (const std::size_t i : members) {
          unit.count += static_cast<double>(counts(static_cast<Eigen::Index>(i), column));
          unit.tokens += static_cast<double>(n_tokens);
        }
        (labels[members.front()] == c ? own : others).push_back(unit);
      }
      result.push_back(plain_t(own, others));
    }
  }
  return result;
}

void expect_plain_results(const ExpertWorld& world, const std::vector<std::string>& groups) {
  const ExpertCategoriesResult result = expert_categories(world.signatures, world.tokens, groups,
                                                          {.n_permutations = n_draws, .seed = 3});
  ASSERT_TRUE(result.tested()) << result.check.reason;
  const CountMatrix counts = common_counts(world.tokens, result.positions);
  ASSERT_EQ(result.positions.n_short, 0U);
  const CategoryIndex categories = index_categories(world.signatures);
  const Units units = make_units(world.signatures.ids, categories, groups);
  const auto t_of = [&](const std::vector<int>& labels) {
    return plain_t(counts, result.positions.n_tokens, units, labels, 3);
  };
  const std::vector<double> observed = t_of(categories.of_prompt);
  std::vector<double> largest;
  std::vector<double> pooled;
  for (int r = 0; r < n_draws; ++r) {
    double most = 0;
    for (const double t : t_of(relabelling(units, categories, 3, r))) {
      most = std::max(most, std::abs(t));
      pooled.push_back(std::abs(t));
    }
    largest.push_back(most);
  }
  for (const double t : observed) pooled.push_back(std::abs(t));
  std::vector<double> p_values;
  for (std::size_t i = 0; i < observed.size(); ++i) {
    const ExpertCell& cell = result.cells[i];
    EXPECT_NEAR(cell.t, observed[i], 1e-9);
    const double size = std::abs(observed[i]);
    const auto share = [&](const std::vector<double>& drawn, double least) {
      return static_cast<double>(
          std::count_if(drawn.begin(), drawn.end(), [&](double x) { return x >= least; }));
    };
    EXPECT_EQ(cell.p_adjusted, (1 + share(largest, size - 1e-9)) / (n_draws + 1));
    const auto n_all = static_cast<double>(pooled.size());
    EXPECT_GE(cell.p_value, share(pooled, size + 1.0 / 1024) / n_all);
    EXPECT_LE(cell.p_value, share(pooled, size - 1.0 / 1024) / n_all);
    EXPECT_EQ(cell.significant, cell.p_adjusted <= 0.05);
    p_values.push_back(cell.p_value);
  }
  const std::vector<double> q = benjamini_hochberg(p_values);
  for (std::size_t i = 0; i < q.size(); ++i) EXPECT_EQ(result.cells[i].q_value, q[i]);
}

TEST(ExpertCategories, AreTestedAsPlainLoopsDo) {
  expect_plain_results(expert_world(small_world(0.6), 1), {});
}

TEST(ExpertCategories, AreTestedByGroupsOfUnequalSize) {
  ExpertWorldOptions options = small_world(0.6);
  options.n_prompts = {12, 14, 16};
  const ExpertWorld world = expert_world(options, 2);
  std::vector<std::string> groups;
  for (std::size_t i = 0; i < world.signatures.size(); ++i) {
    // Of one or two prompts, within their categories.
    const std::size_t start = i < 12 ? 0 : i < 26 ? 12 : 26;
    const std::size_t j = i - start;
    groups.push_back(world.signatures.categories[i] + std::to_string(j < 4 ? j : (j - 4) / 2 + 4));
  }
  expect_plain_results(world, groups);
}

TEST(ExpertCategories, RatesAreOfAllSelectedTokens) {
  const ExpertWorld world = expert_world(small_world(0.6), 4);
  const ExpertCategoriesResult result =
      expert_categories(world.signatures, world.tokens, {}, {.n_permutations = n_draws});
  EXPECT_EQ(result.positions.n_tokens, 12);
  for (const ExpertCell& cell : result.cells) {
    std::vector<UnitCount> own;
    std::vector<UnitCount> others;
    for (std::size_t i = 0; i < world.signatures.size(); ++i) {
      const auto row = static_cast<Eigen::Index>(i);
      const double share = world.signatures.values(row, cell.layer * 6 + cell.expert);
      const auto tokens = static_cast<double>(world.signatures.n_tokens[i]);
      const bool mine = world.signatures.categories[i] ==
                        result.categories[static_cast<std::size_t>(cell.category)];
      (mine ? own : others).push_back({std::round(share * 2 * tokens), tokens});
    }
    const ClusteredRate rate = clustered_rate(own);
    EXPECT_NEAR(cell.rate, rate.estimate, 1e-12);
    EXPECT_NEAR(cell.ci95[0], rate_interval(rate)[0], 1e-12);
    EXPECT_NEAR(cell.ci95[1], rate_interval(rate)[1], 1e-12);
    EXPECT_NEAR(cell.rate_others, clustered_rate(others).estimate, 1e-12);
    EXPECT_NEAR(cell.log2_ratio, std::log2(cell.rate / cell.rate_others), 1e-12);
    EXPECT_EQ(&cell, &result.at(cell.layer, cell.expert, cell.category));
  }
}

// Tokens of category a go to expert 0 or 1, those of b to 1 alone; nobody uses expert 2.
TEST(ExpertCategories, RatiosOfExpertsThatACategoryNeverUses) {
  constexpr RoutingShape shape{1, 3, 1};
  std::vector<PromptLabel> labels;
  for (int i = 0; i < 10; ++i) labels.push_back({"p" + std::to_string(i), i < 5 ? "a" : "b"});
  SignatureAccumulator signatures(shape, labels, {});
  TokenAccumulator tokens(shape, labels.size(), {});
  for (std::size_t i = 0; i < labels.size(); ++i) {
    for (int t = 0; t < 10; ++t) {
      const std::vector<ExpertId> experts{i < 5 && t < 4 ? 0 : 1};
      const RoutingRecord record{0, t, TokenType::prompt, false, 1, experts, {}};
      signatures.add(i, record);
      tokens.add(i, record);
    }
  }
  const Signatures rows = std::move(signatures).finish();
  const RoutedTokens routed = std::move(tokens).finish(rows);
  const ExpertCategoriesResult result =
      expert_categories(rows, routed, {}, {.n_permutations = 999});
  EXPECT_NEAR(result.at(0, 0, 0).ratio, 20.5 / 0.5, 1e-12);
  EXPECT_NEAR(result.at(0, 0, 1).ratio, 0.5 / 20.5, 1e-12);
  EXPECT_NEAR(result.at(0, 1, 0).ratio, 0.6, 1e-12);
  EXPECT_TRUE(std::isnan(result.at(0, 2, 0).ratio));
  EXPECT_EQ(result.at(0, 2, 0).t, 0);
  EXPECT_EQ(result.at(0, 2, 0).p_adjusted, 1);
  // All units of a category are alike.
  EXPECT_TRUE(std::isinf(result.at(0, 0, 0).t));
  EXPECT_GT(result.at(0, 0, 0).t, 0);
  EXPECT_LT(result.at(0, 0, 0).p_adjusted, 0.05);
  // 2 of 252 partitions give the same contrast.
  EXPECT_NEAR(result.smallest_p_value, 2.0 / 252, 1e-9);
  ASSERT_EQ(result.significant[0].more.size(), 1U);
  EXPECT_EQ(result.cells[result.significant[0].more[0]].expert, 0);
  EXPECT_EQ(result.significant[0].less.size(), 1U);
  EXPECT_EQ(result.n_significant, 4U);
}

TEST(ExpertCategories, ThreadsDoNotMatter) {
  const ExpertWorld world = expert_world(small_world(0.4), 5);
  const auto run = [&](int n_threads) {
    return expert_categories(world.signatures, world.tokens, {}, {.n_threads = n_threads});
  };
  const ExpertCategoriesResult one = run(1);
  const ExpertCategoriesResult three = run(3);
  EXPECT_EQ(one.n_permutations, 9999);
  for (std::size_t i = 0; i < one.cells.size(); ++i) {
    EXPECT_EQ(one.cells[i].t, three.cells[i].t);
    EXPECT_EQ(one.cells[i].p_value, three.cells[i].p_value);
    EXPECT_EQ(one.cells[i].p_adjusted, three.cells[i].p_adjusted);
  }
}

TEST(ExpertCategories, FindPlantedExpertsAndSayWhichWay) {
  ExpertWorldOptions options;
  options.effect = 0.6;
  const ExpertWorld world = expert_world(options, 6);
  const ExpertCategoriesResult result = expert_categories(world.signatures, world.tokens, {}, {});
  EXPECT_GT(result.n_significant, 20U);
  EXPECT_GE(result.n_listed, result.n_significant);
  for (const CategoryExperts& own : result.significant) {
    for (std::size_t i = 0; i < own.more.size(); ++i) {
      EXPECT_GT(result.cells[own.more[i]].rate, result.cells[own.more[i]].rate_others);
      if (i > 0) {
        EXPECT_GE(result.cells[own.more[i - 1]].t, result.cells[own.more[i]].t);
      }
    }
    for (const std::size_t i : own.less) EXPECT_LT(result.cells[i].t, 0);
  }
}

// Each of six units holds two prompts of each category: labels move within units, and what units
// do to routing is no difference between categories.
TEST(ExpertCategories, OfUnitsWithSeveralCategories) {
  ExpertWorldOptions options = small_world(0.8);
  options.n_prompts = {12, 12, 12};
  const ExpertWorld world = expert_world(options, 7);
  std::vector<std::string> groups;
  for (int i = 0; i < 36; ++i) groups.push_back("g" + std::to_string(i % 6));
  const ExpertCategoriesResult result =
      expert_categories(world.signatures, world.tokens, groups, {});
  ASSERT_TRUE(result.tested());
  EXPECT_EQ(result.n_units, 6U);
  EXPECT_GT(result.n_significant, 0U);
}

TEST(ExpertCategories, SayWhatCannotBeTested) {
  ExpertWorld world = expert_world(small_world(), 8);
  const auto outcome = [&](const std::vector<std::string>& groups) {
    return expert_categories(world.signatures, world.tokens, groups, {.n_permutations = 9});
  };
  ExpertWorld shorter = world;
  ExpertCategoriesResult result =
      expert_categories(world.signatures, world.tokens, {}, {.positions = {.n_tokens = 18}});
  EXPECT_EQ(result.check.outcome, Comparability::lengths);
  EXPECT_EQ(result.check.n_possible, 12);
  EXPECT_TRUE(std::isnan(result.cells[0].t));
  EXPECT_GT(result.cells[0].rate, 0);
  EXPECT_FALSE(std::isnan(result.cells[0].ratio));

  world.tokens = {};
  EXPECT_EQ(outcome({}).check.outcome, Comparability::no_tokens);
  world = shorter;
  world.signatures.categories[3] = "";
  EXPECT_EQ(outcome({}).check.reason, "some prompts have no category");
  std::fill(world.signatures.categories.begin(), world.signatures.categories.end(), "x");
  result = outcome({});
  EXPECT_EQ(result.check.outcome, Comparability::one_category);
  EXPECT_GT(result.cells[0].rate, 0);
  EXPECT_TRUE(std::isnan(result.cells[0].rate_others));
}

TEST(ExpertCategories, DrawsDependOnSizesAlone) {
  EXPECT_EQ(default_permutations(80, {16, 64, 8}, 4), 9390);
  EXPECT_EQ(default_permutations(80, {2, 8, 2}, 4), 9999);
  EXPECT_EQ(default_permutations(300, {61, 256, 8}, 57), 999);
  EXPECT_EQ(default_permutations(10'000, {61, 256, 8}, 57), 199);
}

}  // namespace
}  // namespace moexray::stats
