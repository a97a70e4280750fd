#include "label_shuffle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "moexray/stats/similarity.h"
#include "stats_support.h"

namespace moexray::stats {
namespace {

double plain_gap(const Matrix& similarities, const std::vector<std::string>& categories) {
  double within = 0;
  double across = 0;
  int n_within = 0;
  int n_across = 0;
  for (std::size_t a = 0; a < categories.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      const bool same = categories[a] == categories[b];
      const double value = similarities(static_cast<Eigen::Index>(a), static_cast<Eigen::Index>(b));
      (same ? within : across) += value;
      ++(same ? n_within : n_across);
    }
  }
  return within / n_within - across / n_across;
}

// The share of all ways to deal the categories out whose gap is not below the observed one.
double exact_p_value(const Signatures& s) {
  const Matrix similarities = pair_similarity(unit_blocks(s));
  const double observed = plain_gap(similarities, s.categories);
  std::vector<std::string> categories = s.categories;
  std::sort(categories.begin(), categories.end());
  int n = 0;
  int n_reached = 0;
  do {
    ++n;
    if (plain_gap(similarities, categories) >= observed - 1e-11) ++n_reached;
  } while (std::next_permutation(categories.begin(), categories.end()));
  return static_cast<double>(n_reached) / n;
}

LabelShuffle shuffled(const Signatures& s, int n_shuffles, std::uint64_t seed = 0) {
  return shuffle_labels(unit_blocks(s), index_categories(s), s.ids,
                        {.n_shuffles = n_shuffles, .seed = seed});
}

TEST(LabelShuffle, ApproachesTheExactPValue) {
  struct Case {
    std::vector<int> sizes;
    int n_layers, n_experts;
    double effect;
  };
  // More columns than twice the prompts, and fewer; equal categories, and one prompt in one.
  for (const auto& [sizes, n_layers, n_experts, effect] :
       {Case{{3, 3}, 4, 8, 0.0}, Case{{3, 2, 2}, 4, 8, 0.2}, Case{{3, 2, 2}, 1, 4, 0.2},
        Case{{1, 5}, 5, 7, 0.3}, Case{{4, 4}, 1, 3, 0.5}, Case{{2, 2, 2}, 3, 17, 1.0}}) {
    SCOPED_TRACE(testing::Message()
                 << sizes.size() << " categories, " << n_layers << " × " << n_experts);
    const Signatures s =
        test::random_signatures(test::mixed_categories(sizes, 3), 5,
                                {.n_layers = n_layers, .n_experts = n_experts, .effect = effect});
    const double p = exact_p_value(s);
    constexpr int n_shuffles = 20000;
    const double error = std::sqrt(p * (1 - p) / n_shuffles);
    EXPECT_NEAR(shuffled(s, n_shuffles).p_value, p, 4 * error + 1.0 / n_shuffles);
  }
}

TEST(LabelShuffle, GapIsTheObservedOne) {
  const Signatures s = test::random_signatures(test::mixed_categories({6, 5, 9}, 1), 2);
  const LabelShuffle result = shuffled(s, 99);
  EXPECT_NEAR(result.gap, plain_gap(pair_similarity(unit_blocks(s)), s.categories), 1e-13);
  EXPECT_EQ(result.n_draws, 99);
}

TEST(LabelShuffle, TiesCount) {
  Signatures s = test::random_signatures({"a", "b", "a", "b", "b"}, 2);
  for (Eigen::Index i = 1; i < 5; ++i) s.values.row(i) = s.values.row(0);
  EXPECT_EQ(shuffled(s, 500).p_value, 1);
  // Two categories of one prompt and one of two: 12 deals of which the observed one is the best,
  // and it comes up with its names exchanged too.
  const Signatures two = test::random_signatures({"a", "b", "c", "c"}, 3, {.effect = 2});
  EXPECT_NEAR(shuffled(two, 6000).p_value, exact_p_value(two), 0.02);
}

TEST(LabelShuffle, SmallestPValueIsOneOverAllShuffles) {
  const Signatures s =
      test::random_signatures(test::mixed_categories({20, 20, 20}, 1), 2, {.effect = 3});
  EXPECT_EQ(shuffled(s, 999).p_value, 1e-3);
  EXPECT_EQ(shuffled(s, 1).p_value, 0.5);
}

TEST(LabelShuffle, PValuesAreUniformWithoutAnEffect) {
  int n_small = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Signatures s =
        test::random_signatures(test::mixed_categories({6, 6, 6}, seed), seed, {.effect = 0});
    n_small += shuffled(s, 199, seed).p_value <= 0.1;
  }
  // Binomial(200, 0.1): 20 ± 4.2.
  EXPECT_GE(n_small, 8);
  EXPECT_LE(n_small, 33);
}

TEST(LabelShuffle, IsUndefinedWithoutBothKindsOfPairs) {
  EXPECT_TRUE(std::isnan(shuffled(test::random_signatures({"a", "a"}, 1), 9).p_value));
  EXPECT_TRUE(std::isnan(shuffled(test::random_signatures({"a", "b"}, 1), 9).p_value));
  EXPECT_TRUE(std::isnan(shuffled(test::random_signatures({"a"}, 1), 9).p_value));
}

}  // namespace
}  // namespace moexray::stats
