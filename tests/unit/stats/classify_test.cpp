#include "moexray/stats/classify.h"

#include <gtest/gtest.h>

#include <cmath>

#include "stats_support.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

TEST(Classify, MatchesScikitLearnsReport) {
  for (const auto& c : test::classifier_cases()) {
    SCOPED_TRACE(c.name);
    const ClassifyResult result = classify(c.signatures, {.folds = c.folds});
    EXPECT_TRUE(result.converged);
    for (std::size_t i = 0; i < c.predicted.size(); ++i) {
      EXPECT_EQ(result.categories[static_cast<std::size_t>(result.predicted[i])], c.predicted[i]);
    }
    EXPECT_NEAR(result.accuracy.mean, c.accuracy_mean, 1e-12);
    EXPECT_NEAR(result.accuracy.std, c.accuracy_std, 1e-12);
    EXPECT_NEAR(result.macro_f1, c.macro_f1, 1e-12);
    ASSERT_EQ(result.per_class.size(), c.per_class.size());
    for (std::size_t k = 0; k < c.per_class.size(); ++k) {
      EXPECT_EQ(result.categories[k], c.per_class[k].category);
      EXPECT_NEAR(result.per_class[k].precision, c.per_class[k].precision, 1e-12);
      EXPECT_NEAR(result.per_class[k].recall, c.per_class[k].recall, 1e-12);
      EXPECT_NEAR(result.per_class[k].f1, c.per_class[k].f1, 1e-12);
      EXPECT_EQ(result.per_class[k].support, c.per_class[k].support);
      for (std::size_t j = 0; j < c.confusion[k].size(); ++j) {
        EXPECT_EQ(result.confusion(static_cast<Eigen::Index>(k), static_cast<Eigen::Index>(j)),
                  c.confusion[k][j]);
      }
    }
  }
}

TEST(Classify, DoesNotDependOnThreads) {
  const Signatures s = test::random_signatures(test::mixed_categories({12, 15, 9}, 1), 2);
  const ClassifyResult one = classify(s, {.seed = 7, .n_threads = 1});
  const ClassifyResult three = classify(s, {.seed = 7, .n_threads = 3});
  EXPECT_EQ(one.predicted, three.predicted);
  EXPECT_EQ(one.folds, three.folds);
  EXPECT_EQ(one.accuracy.folds, three.accuracy.folds);
  EXPECT_EQ(one.confusion, three.confusion);
}

TEST(Classify, FindsAPlantedExpert) {
  // Category "b" uses expert 5 of layer 1 where "a" uses expert 2; all else is the same.
  std::vector<std::vector<int>> counts;
  std::vector<std::string> categories;
  for (int i = 0; i < 20; ++i) {
    std::vector<int> row(16, 10);
    row[static_cast<std::size_t>(i % 7)] += 1;
    row[8 + (i % 2 == 0 ? 2 : 5)] += 20;
    counts.push_back(row);
    categories.push_back(i % 2 == 0 ? "a" : "b");
  }
  const Signatures s = test::signatures_from_counts(counts, 2, 8, 2, categories);
  const ClassifyResult result = classify(s, {.n_top_experts = 1});
  EXPECT_EQ(result.accuracy.mean, 1);
  ASSERT_EQ(result.top_experts.size(), 2U);
  EXPECT_EQ(result.top_experts[0].category, 0);
  EXPECT_EQ(result.top_experts[0].layer, 1);
  EXPECT_EQ(result.top_experts[0].expert, 2);
  EXPECT_GT(result.top_experts[0].weight, 0);
  EXPECT_EQ(result.top_experts[1].category, 1);
  EXPECT_EQ(result.top_experts[1].expert, 5);
  EXPECT_GT(result.top_experts[1].weight, 0);
}

TEST(Classify, SaysThatACategoryWasNeverPredicted) {
  // "b" cannot be told from "a" and is rare.
  std::vector<std::string> categories(12, "a");
  categories[3] = categories[9] = "b";
  const Signatures s = test::signatures_from_counts(std::vector<std::vector<int>>(12, {3, 4, 5}), 1,
                                                    3, 2, categories);
  const ClassifyResult result = classify(s, {.n_folds = 2});
  EXPECT_TRUE(std::isnan(result.per_class[1].precision));
  EXPECT_EQ(result.per_class[1].recall, 0);
  EXPECT_EQ(result.per_class[1].f1, 0);
  EXPECT_NEAR(result.chance, 10.0 / 12, 1e-15);
  ASSERT_FALSE(result.notices.empty());
  EXPECT_NE(result.notices[0].find("\"b\" was never predicted"), std::string::npos);
}

TEST(Classify, TrainsOnTheCategoriesThatAreThere) {
  // A folds file may put all of one category into one fold.
  const Signatures s = test::random_signatures({"a", "a", "b", "b", "c", "c"}, 3);
  const ClassifyResult result = classify(s, {.folds = {0, 1, 0, 1, 1, 1}});
  EXPECT_EQ(result.accuracy.folds.size(), 2U);
  for (const std::size_t i : {1U, 3U, 4U, 5U}) EXPECT_NE(result.predicted[i], 2);
}

TEST(Classify, HasANestedInterval) {
  const Signatures s =
      test::random_signatures(test::mixed_categories({20, 20, 20}, 1), 2, {.effect = 0.15});
  const ClassifyResult without = classify(s, {.seed = 7});
  EXPECT_TRUE(std::isnan(without.accuracy.ci95[0]));
  ClassifyOptions options{.seed = 7, .n_nested_repetitions = 20};
  const ClassifyResult one = classify(s, options);
  EXPECT_EQ(one.predicted, without.predicted);
  EXPECT_LT(one.accuracy.ci95[0], one.accuracy.mean);
  EXPECT_GT(one.accuracy.ci95[1], one.accuracy.mean);
  options.n_threads = 3;
  EXPECT_EQ(classify(s, options).accuracy.ci95, one.accuracy.ci95);
}

TEST(Classify, SaysWhereThereIsNoNestedInterval) {
  const Signatures clear =
      test::random_signatures(test::mixed_categories({10, 10}, 1), 2, {.effect = 3});
  const ClassifyResult perfect = classify(clear, {.n_nested_repetitions = 5});
  EXPECT_TRUE(std::isnan(perfect.accuracy.ci95[0]));
  ASSERT_FALSE(perfect.notices.empty());
  EXPECT_NE(perfect.notices.back().find("every held-out prediction is alike"), std::string::npos);
  const ClassifyResult two = classify(clear, {.n_folds = 2, .n_nested_repetitions = 5});
  EXPECT_NE(two.notices.back().find("it needs 3 to 64 folds"), std::string::npos);
}

TEST(Classify, KeepsGroupsInOneFold) {
  const Signatures s = test::random_signatures(test::mixed_categories({20, 20}, 1), 2);
  ClassifyOptions options;
  for (std::size_t i = 0; i < s.size(); ++i) {
    options.groups.push_back(s.categories[i] + std::to_string(i % 7));
  }
  const ClassifyResult result = classify(s, options);
  for (std::size_t i = 0; i < s.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (options.groups[i] != options.groups[j]) continue;
      EXPECT_EQ(result.folds[i], result.folds[j]);
    }
  }
  options.folds.assign(s.size(), 0);
  for (std::size_t i = 0; i < s.size(); ++i) options.folds[i] = static_cast<int>(i % 2);
  test::expect_error(ErrorKind::data, "lies in several folds", [&] { classify(s, options); });
}

TEST(Classify, RefusesWhatCannotBeClassified) {
  using test::expect_error;
  const auto signatures = [](const std::vector<std::string>& categories) {
    return test::random_signatures(categories, 1);
  };
  expect_error(ErrorKind::data, "only one category (\"a\")",
               [&] { classify(signatures({"a", "a", "a"}), {}); });
  const Signatures s = signatures({"a", "a", "b", "b"});
  expect_error(ErrorKind::data,
               "2 categories have 2 prompts (\"a\", \"b\"): at least one per fold is needed, of 5 "
               "folds (--folds 2 would do)",
               [&] { classify(s, {}); });
  expect_error(ErrorKind::data, "category \"b\" has one prompt: at least one prompt per fold",
               [&] { classify(signatures({"a", "a", "b"}), {.n_folds = 2}); });
  expect_error(ErrorKind::data, "one for each of 4 prompts",
               [&] { classify(s, {.folds = {0, 1}}); });
  expect_error(ErrorKind::data, "fold 1 has no prompt",
               [&] { classify(s, {.folds = {0, 2, 0, 2}}); });
  expect_error(ErrorKind::data, "fold out of range",
               [&] { classify(s, {.folds = {0, -1, 0, 1}}); });
  expect_error(ErrorKind::data, "number of folds", [&] { classify(s, {.folds = {0, 0, 0, 0}}); });
  expect_error(ErrorKind::data, "only \"b\"", [&] { classify(s, {.folds = {0, 0, 1, 1}}); });
}

TEST(Wilson, MatchesPublishedValues) {
  // Newcombe (1998), table I: 81/263 and 0/20.
  const auto a = wilson_interval(81, 263);
  EXPECT_NEAR(a[0], 0.2553, 5e-5);
  EXPECT_NEAR(a[1], 0.3662, 5e-5);
  const auto b = wilson_interval(0, 20);
  EXPECT_NEAR(b[0], 0, 1e-15);
  EXPECT_NEAR(b[1], 0.1611, 5e-5);
  EXPECT_NEAR(wilson_interval(20, 20)[1], 1, 1e-15);
}

TEST(Classify, ProbabilitiesAreThoseOfTheHeldOutModels) {
  for (const int n_categories : {2, 3}) {
    const Signatures s =
        test::random_signatures(test::mixed_categories(std::vector<int>(n_categories, 8), 1), 2);
    const ClassifyResult result = classify(s, {.n_folds = 4});
    ASSERT_EQ(result.probabilities.rows(), static_cast<Eigen::Index>(s.size()));
    ASSERT_EQ(result.probabilities.cols(), n_categories);
    EXPECT_GE(result.probabilities.minCoeff(), 0);
    for (Eigen::Index i = 0; i < result.probabilities.rows(); ++i) {
      EXPECT_NEAR(result.probabilities.row(i).sum(), 1, 1e-12);
      Eigen::Index likeliest = 0;
      result.probabilities.row(i).maxCoeff(&likeliest);
      EXPECT_EQ(likeliest, result.predicted[static_cast<std::size_t>(i)]);
    }
  }
}

TEST(Classify, ACategoryThatTheOtherFoldsLackHasProbabilityZero) {
  const Signatures s = test::random_signatures({"a", "a", "a", "b", "b", "b", "c", "c"}, 2);
  const ClassifyResult result = classify(s, {.folds = {0, 1, 0, 1, 0, 1, 0, 0}});
  for (const Eigen::Index i : {0, 2, 4, 6, 7}) {
    EXPECT_EQ(result.probabilities(i, 2), 0);
    EXPECT_NEAR(result.probabilities.row(i).sum(), 1, 1e-12);
  }
  EXPECT_GT(result.probabilities(1, 2), 0);
}

}  // namespace
}  // namespace moexray::stats
