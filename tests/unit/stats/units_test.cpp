#include "moexray/stats/units.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "stats_support.h"

namespace moexray::stats {
namespace {

CategoryIndex categories_of(const std::vector<std::string>& categories) {
  const std::vector<std::vector<int>> counts(categories.size(), {1, 0});
  return index_categories(test::signatures_from_counts(counts, 1, 2, 1, categories));
}

TEST(Units, EveryPromptIsOneWithoutGroups) {
  const std::vector<std::string> ids{"b", "a", "c"};
  const Units units = make_units(ids, categories_of({"x", "y", "x"}));
  EXPECT_EQ(units.size(), 3U);
  EXPECT_FALSE(units.grouped);
  EXPECT_EQ(units.names, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(units.of_prompt, (std::vector<int>{1, 0, 2}));
  EXPECT_EQ(units.category, (std::vector<int>{1, 0, 0}));
  EXPECT_TRUE(units.nested());
}

TEST(Units, GroupsAreKeptApartFromPromptsOfThatName) {
  const std::vector<std::string> ids{"g", "b", "c", "d"}, groups{"", "g", "g", ""};
  const Units units = make_units(ids, categories_of({"x", "x", "y", "y"}), groups);
  ASSERT_EQ(units.size(), 3U);
  EXPECT_TRUE(units.grouped);
  EXPECT_EQ(units.members[2], (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(units.category, (std::vector<int>{1, 0, -1}));
  EXPECT_FALSE(units.nested());
}

TEST(PermutedLabels, KeepUnitsWholeWhereTheyLieInOneCategory) {
  const std::vector<std::string> ids{"a", "b", "c", "d", "e"}, groups{"g", "g", "g", "h", "i"};
  const CategoryIndex categories = categories_of({"x", "x", "x", "y", "y"});
  const Units units = make_units(ids, categories, groups);
  RandomStream random(1);
  std::map<std::vector<int>, int> seen;
  for (int draw = 0; draw < 3000; ++draw) {
    const std::vector<int> labels = permuted_labels(units, categories, random);
    EXPECT_EQ(labels[0], labels[1]);
    EXPECT_EQ(labels[0], labels[2]);
    ++seen[labels];
  }
  // One of the three units has category x: three relabellings, equally often (±5 σ).
  ASSERT_EQ(seen.size(), 3U);
  for (const auto& [labels, n] : seen) EXPECT_NEAR(n, 1000, 130);
}

TEST(PermutedLabels, StayInsideUnitsThatHoldSeveralCategories) {
  const std::vector<std::string> ids{"a", "b", "c", "d"}, groups{"g", "g", "h", "h"};
  const CategoryIndex categories = categories_of({"x", "y", "x", "x"});
  const Units units = make_units(ids, categories, groups);
  RandomStream random(2);
  std::set<std::vector<int>> seen;
  for (int draw = 0; draw < 100; ++draw) seen.insert(permuted_labels(units, categories, random));
  EXPECT_EQ(seen, (std::set<std::vector<int>>{{0, 1, 0, 0}, {1, 0, 0, 0}}));
}

}  // namespace
}  // namespace moexray::stats
