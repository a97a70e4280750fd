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
  test::expect_error(ErrorKind::data, "category \"c1\" is too small",
                     [&] { stratified_folds(s.ids, index_categories(s), 5, 0); });
  test::expect_error(ErrorKind::data, "--folds 3 would do",
                     [&] { stratified_folds(s.ids, index_categories(s), 5, 0); });
  EXPECT_NO_THROW(stratified_folds(s.ids, index_categories(s), 3, 0));
  test::expect_error(ErrorKind::usage, "at least 2",
                     [&] { stratified_folds(s.ids, index_categories(s), 1, 0); });
}

}  // namespace
}  // namespace moexray::stats
