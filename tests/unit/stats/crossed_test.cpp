#include "moexray/stats/crossed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "crossed_cases.h"

namespace moexray::stats {
namespace {

using bench::crossed_outcome;
using bench::crossed_prompts;
using bench::CrossedOutcome;
using bench::CrossedPrompts;
using bench::CrossedWorld;

CrossedTests tests_of(const CrossedPrompts& prompts, const PermutationOptions& options) {
  return test_crossed(unit_blocks(prompts.signatures), index_categories(prompts.signatures),
                      prompts.topics, prompts.wordings, options);
}

// Sums of squared distances to the means of groups of prompts, in plain loops.
double ss_within(const Matrix& blocks, const std::vector<std::string>& groups) {
  double result = 0;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    Eigen::RowVectorXd mean = Eigen::RowVectorXd::Zero(blocks.cols());
    double n = 0;
    for (std::size_t j = 0; j < groups.size(); ++j) {
      if (groups[j] != groups[i]) continue;
      mean += blocks.row(static_cast<Eigen::Index>(j));
      ++n;
    }
    result += (blocks.row(static_cast<Eigen::Index>(i)) - mean / n).squaredNorm();
  }
  return result;
}

TEST(Crossed, SumsOfSquaresAreThoseOfMeans) {
  const CrossedPrompts prompts = crossed_prompts(
      {.task = 0.5, .topic = 0.5, .wording = 0.5, .n_wordings = {3, 4, 2}, .n_topics = 3}, 1);
  const Matrix blocks = unit_blocks(prompts.signatures);
  const std::vector<std::string>& tasks = prompts.signatures.categories;
  std::vector<std::string> cells;
  for (std::size_t i = 0; i < tasks.size(); ++i) cells.push_back(tasks[i] + prompts.topics[i]);
  const double total = ss_within(blocks, std::vector<std::string>(tasks.size()));
  const double task = total - ss_within(blocks, tasks);
  const double topic = total - ss_within(blocks, prompts.topics);
  const double cell = total - ss_within(blocks, cells);
  const double wording = total - ss_within(blocks, prompts.wordings);
  const CrossedTests found = tests_of(prompts, {.n_permutations = 99});
  EXPECT_EQ(found.reason, "");
  EXPECT_EQ(found.n_prompts, 27U);
  EXPECT_EQ(found.n_units, 9U);
  EXPECT_EQ(found.n_left_out, 0U);
  EXPECT_NEAR(found.category.sum_of_squares, task, 1e-10);
  EXPECT_NEAR(found.topic.sum_of_squares, topic, 1e-10);
  EXPECT_NEAR(found.interaction.sum_of_squares, cell - task - topic, 1e-10);
  EXPECT_NEAR(found.between.sum_of_squares, wording - task, 1e-10);
  EXPECT_NEAR(found.within.sum_of_squares, total - wording - (cell - task), 1e-10);
  EXPECT_NEAR(found.category.r_squared, task / total, 1e-10);
  EXPECT_EQ(found.category.degrees_of_freedom, 2);
  EXPECT_EQ(found.between.degrees_of_freedom, 6);
  EXPECT_EQ(found.topic.degrees_of_freedom, 2);
  EXPECT_EQ(found.interaction.degrees_of_freedom, 4);
  EXPECT_EQ(found.within.degrees_of_freedom, 12);
  const double rest = found.within.sum_of_squares / 12;
  EXPECT_NEAR(found.category.test.statistic, (task / 2) / (found.between.sum_of_squares / 6), 1e-9);
  EXPECT_NEAR(found.topic.test.statistic, (topic / 2) / rest, 1e-9);
  EXPECT_NEAR(found.interaction.test.statistic, (cell - task - topic) / 4 / rest, 1e-9);
}

struct Shares {
  double category = 0, topic = 0, interaction = 0, free_residuals = 0;  // with p ≤ 0.05
  double median_category = 0, median_topic = 0;
};

Shares shares_of(const CrossedWorld& world) {
  constexpr int n_sets = 200;
  Shares shares;
  std::vector<double> categories;
  std::vector<double> topics;
  for (int i = 0; i < n_sets; ++i) {
    const CrossedOutcome found = crossed_outcome(world, 7, i, 99);
    shares.category += found.category <= 0.05 ? 1.0 / n_sets : 0;
    shares.topic += found.topic <= 0.05 ? 1.0 / n_sets : 0;
    shares.interaction += found.interaction <= 0.05 ? 1.0 / n_sets : 0;
    shares.free_residuals += found.free_residuals <= 0.05 ? 1.0 / n_sets : 0;
    categories.push_back(found.category);
    topics.push_back(found.topic);
  }
  std::nth_element(categories.begin(), categories.begin() + n_sets / 2, categories.end());
  std::nth_element(topics.begin(), topics.begin() + n_sets / 2, topics.end());
  shares.median_category = categories[n_sets / 2];
  shares.median_topic = topics[n_sets / 2];
  return shares;
}

// 0.05 ± 0.015 of 200 data sets; the median of a uniform p is 0.5 ± 0.035.
constexpr double level_tolerance = 0.046;

TEST(Crossed, FindsTopicsAndNotTasksWhereThereAreTopics) {
  const Shares shares = shares_of({.topic = 0.5});
  EXPECT_NEAR(shares.category, 0.05, level_tolerance);
  EXPECT_NEAR(shares.median_category, 0.5, 0.11);
  EXPECT_NEAR(shares.topic, 1, 1e-9);
  EXPECT_NEAR(shares.interaction, 0.05, level_tolerance);
}

TEST(Crossed, FindsTasksAndNotTopicsWhereThereAreTasks) {
  const Shares shares = shares_of({.task = 0.5});
  EXPECT_NEAR(shares.category, 1, 1e-9);
  EXPECT_NEAR(shares.topic, 0.05, level_tolerance);
  EXPECT_NEAR(shares.median_topic, 0.5, 0.11);
  EXPECT_NEAR(shares.interaction, 0.05, level_tolerance);
}

// Why wordings are the units: residuals that are permuted freely find tasks.
TEST(Crossed, FindsNeitherWhereWordingsDiffer) {
  const Shares shares = shares_of({.wording = 0.5});
  EXPECT_NEAR(shares.category, 0.05, level_tolerance);
  EXPECT_NEAR(shares.topic, 0.05, level_tolerance);
  EXPECT_NEAR(shares.interaction, 0.05, level_tolerance);
  EXPECT_GT(shares.free_residuals, 0.9);
}

TEST(Crossed, FindsAnInteraction) {
  const Shares shares = shares_of({.interaction = 0.4, .wording = 0.5});
  EXPECT_GT(shares.interaction, 0.95);
}

TEST(Crossed, LeavesOutIncompleteWordings) {
  CrossedPrompts prompts = crossed_prompts({.n_wordings = {3, 3}, .n_topics = 2}, 1);
  // w0-0 twice with one topic, w0-1 without a topic's name, w1-2 with three prompts.
  prompts.topics[0] = prompts.topics[1];
  prompts.topics[2] = "";
  prompts.wordings[9] = prompts.wordings[10];
  const CrossedTests found = tests_of(prompts, {.n_permutations = 99});
  EXPECT_EQ(found.n_units, 2U);
  EXPECT_EQ(found.n_prompts, 4U);
  EXPECT_EQ(found.n_left_out, 8U);
  EXPECT_EQ(found.levels, (std::vector<std::string>{"topic 0", "topic 1"}));
  EXPECT_EQ(found.reason,
            "every category has one unit with every value of the crossed key, and two are needed");
  EXPECT_TRUE(std::isnan(found.category.test.p_value));
}

TEST(Crossed, SaysWhatTheDesignLacks) {
  const CrossedPrompts good = crossed_prompts({.n_wordings = {3, 3}, .n_topics = 2}, 1);
  CrossedPrompts other = good;
  std::fill(other.topics.begin(), other.topics.end(), "same");
  EXPECT_EQ(tests_of(other, {}).reason, "1 value of the crossed key, and two are needed");
  std::fill(other.topics.begin(), other.topics.end(), "");
  EXPECT_EQ(tests_of(other, {}).reason, "0 values of the crossed key, and two are needed");
  other = good;
  other.wordings.back() = other.wordings.front();
  EXPECT_EQ(tests_of(other, {}).reason, "the unit \"w0-0\" has prompts of several categories");
  other = good;
  std::fill(other.signatures.categories.begin(), other.signatures.categories.end(), "task");
  EXPECT_EQ(tests_of(other, {}).reason,
            "units with every value of the crossed key lie in 1 category, and two are needed");
}

TEST(Crossed, PromptsThatAreAlikeHaveNoF) {
  const CrossedPrompts prompts = crossed_prompts({.n_wordings = {3, 3}, .n_topics = 2}, 1);
  Matrix blocks = unit_blocks(prompts.signatures);
  blocks.rowwise() = blocks.row(0).eval();
  const CrossedTests found = test_crossed(blocks, index_categories(prompts.signatures),
                                          prompts.topics, prompts.wordings, {});
  EXPECT_TRUE(std::isnan(found.category.test.statistic));
  EXPECT_TRUE(std::isnan(found.topic.test.p_value));
  EXPECT_TRUE(std::isnan(found.interaction.test.p_value));
}

TEST(Crossed, DependsOnTheSeedAlone) {
  const CrossedPrompts prompts = crossed_prompts({.topic = 0.1}, 3);
  const PermutationOptions one{.n_permutations = 199, .seed = 2};
  const PermutationOptions three{.n_permutations = 199, .seed = 2, .n_threads = 3};
  const CrossedTests a = tests_of(prompts, one);
  const CrossedTests b = tests_of(prompts, three);
  EXPECT_EQ(a.category.test.p_value, b.category.test.p_value);
  EXPECT_EQ(a.topic.test.p_value, b.topic.test.p_value);
  EXPECT_EQ(a.interaction.test.p_value, b.interaction.test.p_value);
  EXPECT_EQ(a.topic.test.n_draws, 199);
}

}  // namespace
}  // namespace moexray::stats
