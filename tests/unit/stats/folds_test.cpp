#include "moexray/stats/folds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "stats_support.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

TEST(Folds, AreStratifiedAndEven) {
  for (const std::vector<int>& sizes : {std::vector<int>{20, 20, 20, 20}, {5, 7, 13}, {6, 50}}) {
    const Signatures s = test::random_signatures(test::mixed_categories(sizes, 1), 2);
    const CategoryIndex categories = index_categories(s);
    const std::vector<int> folds = stratified_folds(s.ids, categories, 5, 3);
    std::vector<int> sizes_of_folds(5);
    std::map<std::pair<int, int>, int> members;
    for (std::size_t i = 0; i < folds.size(); ++i) {
      ++sizes_of_folds[static_cast<std::size_t>(folds[i])];
      ++members[{categories.of_prompt[i], folds[i]}];
    }
    const auto [low, high] = std::minmax_element(sizes_of_folds.begin(), sizes_of_folds.end());
    EXPECT_LE(*high - *low, 1);
    for (std::size_t c = 0; c < sizes.size(); ++c) {
      for (int fold = 0; fold < 5; ++fold) {
        const int n = members[{static_cast<int>(c), fold}];
        EXPECT_TRUE(n == sizes[c] / 5 || n == sizes[c] / 5 + 1) << n << " of " << sizes[c];
      }
    }
  }
}

TEST(Folds, DependOnIdsAndSeedAlone) {
  Signatures s = test::random_signatures(test::mixed_categories({10, 10}, 1), 2);
  const std::vector<int> folds = stratified_folds(s.ids, index_categories(s), 5, 3);
  EXPECT_EQ(folds, stratified_folds(s.ids, index_categories(s), 5, 3));
  EXPECT_NE(folds, stratified_folds(s.ids, index_categories(s), 5, 4));
  std::reverse(s.ids.begin(), s.ids.end());
  std::reverse(s.categories.begin(), s.categories.end());
  std::vector<int> reversed = stratified_folds(s.ids, index_categories(s), 5, 3);
  std::reverse(reversed.begin(), reversed.end());
  EXPECT_EQ(folds, reversed);
}

TEST(Folds, NameACategoryThatIsTooSmall) {
  const Signatures s = test::random_signatures(test::mixed_categories({10, 3}, 1), 2);
  test::expect_error(ErrorKind::data, "category \"c1\" has 3 prompts: at least one per fold",
                     [&] { stratified_folds(s.ids, index_categories(s), 5, 0); });
  test::expect_error(ErrorKind::data, "--folds 3 would do",
                     [&] { stratified_folds(s.ids, index_categories(s), 5, 0); });
  EXPECT_NO_THROW(stratified_folds(s.ids, index_categories(s), 3, 0));
  test::expect_error(ErrorKind::usage, "at least 2",
                     [&] { stratified_folds(s.ids, index_categories(s), 1, 0); });
}

// Groups g0, g1, … of the given sizes and categories.
struct Grouped {
  Signatures signatures;
  CategoryIndex categories;
  std::vector<std::string> groups;
  Units units;
};

Grouped grouped(const std::vector<std::pair<int, std::string>>& sizes) {
  Grouped result;
  std::vector<std::string> categories;
  for (std::size_t g = 0; g < sizes.size(); ++g) {
    for (int i = 0; i < sizes[g].first; ++i) {
      categories.push_back(sizes[g].second);
      result.groups.push_back("g" + std::to_string(g));
    }
  }
  result.signatures = test::random_signatures(categories, 1);
  result.categories = index_categories(result.signatures);
  result.units = make_units(result.signatures.ids, result.categories, result.groups);
  return result;
}

std::vector<std::pair<int, std::string>> uneven_groups() {
  std::vector<std::pair<int, std::string>> sizes;
  for (int g = 0; g < 24; ++g) sizes.emplace_back(1 + g % 5, g % 2 == 0 ? "a" : "b");
  return sizes;
}

TEST(GroupedFolds, NeverTearAGroupApartAndStayEven) {
  const Grouped g = grouped(uneven_groups());
  const std::vector<int> folds = grouped_folds(g.signatures.ids, g.categories, g.units, 4, 3);
  std::map<std::string, int> fold_of;
  std::map<std::pair<int, int>, double> members;
  for (std::size_t i = 0; i < folds.size(); ++i) {
    EXPECT_EQ(fold_of.try_emplace(g.groups[i], folds[i]).first->second, folds[i]);
    members[{g.categories.of_prompt[i], folds[i]}] += 1;
  }
  for (int c = 0; c < 2; ++c) {
    for (int fold = 0; fold < 4; ++fold) {
      const double even =
          static_cast<double>(g.categories.n_prompts[static_cast<std::size_t>(c)]) / 4;
      EXPECT_NEAR((members[{c, fold}]), even, 2) << "category " << c << ", fold " << fold;
    }
  }
  EXPECT_NE(folds, grouped_folds(g.signatures.ids, g.categories, g.units, 4, 4));
  EXPECT_EQ(folds, grouped_folds(g.signatures.ids, g.categories, g.units, 4, 3));
}

TEST(GroupedFolds, OfSinglePromptsAreStratifiedFolds) {
  const Signatures s = test::random_signatures(test::mixed_categories({10, 10}, 1), 2);
  const CategoryIndex categories = index_categories(s);
  EXPECT_EQ(grouped_folds(s.ids, categories, make_units(s.ids, categories), 5, 3),
            stratified_folds(s.ids, categories, 5, 3));
}

TEST(GroupedFolds, NameACategoryInTooFewGroups) {
  const Grouped g = grouped({{9, "a"}, {9, "a"}, {3, "b"}, {3, "b"}, {3, "b"}});
  test::expect_error(ErrorKind::data,
                     "category \"a\" has 2 groups: at least one per fold is needed, of 3 folds "
                     "(--folds 2 would do)",
                     [&] { grouped_folds(g.signatures.ids, g.categories, g.units, 3, 0); });
}

TEST(PermutedWithinFolds, LeavesEveryFoldItsLabels) {
  const Signatures s = test::random_signatures(test::mixed_categories({10, 10, 10}, 1), 2);
  const CategoryIndex categories = index_categories(s);
  const Units units = make_units(s.ids, categories);
  const std::vector<int> folds = stratified_folds(s.ids, categories, 5, 3);
  RandomStream random(1);
  std::map<std::vector<int>, int> seen;
  for (int draw = 0; draw < 50; ++draw) {
    const std::vector<int> labels = labels_permuted_within_folds(units, categories, folds, random);
    ++seen[labels];
    std::map<std::pair<int, int>, int> balance;
    for (std::size_t i = 0; i < folds.size(); ++i) {
      ++balance[{folds[i], labels[i]}];
      --balance[{folds[i], categories.of_prompt[i]}];
    }
    for (const auto& [key, difference] : balance) EXPECT_EQ(difference, 0);
  }
  EXPECT_EQ(seen.size(), 50U);
}

TEST(PermutedWithinFolds, MovesWholeGroups) {
  const Grouped g = grouped(uneven_groups());
  const std::vector<int> folds = grouped_folds(g.signatures.ids, g.categories, g.units, 4, 3);
  RandomStream random(1);
  const auto labels = labels_permuted_within_folds(g.units, g.categories, folds, random);
  EXPECT_NE(labels, g.categories.of_prompt);
  for (const auto& members : g.units.members) {
    for (const std::size_t i : members) EXPECT_EQ(labels[i], labels[members.front()]);
  }
}

}  // namespace
}  // namespace moexray::stats
