#include "batched_integers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

namespace moexray::stats {
namespace {

// Pearson's statistic of counts that should all be equal.
double chi_squared(const std::map<std::vector<std::size_t>, int>& counts, double n_outcomes,
                   double n_draws) {
  const double expected = n_draws / n_outcomes;
  double sum = (n_outcomes - static_cast<double>(counts.size())) * expected;
  for (const auto& [outcome, count] : counts)
    sum += (count - expected) * (count - expected) / expected;
  return sum;
}

TEST(BatchedIntegers, EveryOutcomeIsEquallyLikely) {
  const BatchedIntegers integers({3, 5, 7});
  RandomStream random(1);
  std::map<std::vector<std::size_t>, int> counts;
  constexpr int n_draws = 105 * 400;
  for (int draw = 0; draw < n_draws; ++draw) {
    std::vector<std::size_t> outcome(3);
    integers.draw(random, [&](std::size_t i, std::size_t value) { outcome[i] = value; });
    ++counts[outcome];
  }
  ASSERT_EQ(counts.size(), 105U);
  // 104 degrees of freedom: 154 is exceeded once in a thousand.
  EXPECT_LT(chi_squared(counts, 105, n_draws), 154);
}

TEST(BatchedIntegers, SplitsWhatOneWordCannotHold) {
  const std::vector<std::uint64_t> bounds{
      std::uint64_t{1} << 40, 1000, 1, std::uint64_t{1} << 40, (std::uint64_t{1} << 63) + 1, 2};
  const BatchedIntegers integers(bounds);
  RandomStream random(2);
  std::vector<double> sums(bounds.size(), 0.0);
  constexpr int n_draws = 4000;
  for (int draw = 0; draw < n_draws; ++draw) {
    std::size_t next = 0;
    integers.draw(random, [&](std::size_t i, std::size_t value) {
      EXPECT_EQ(i, next++);
      EXPECT_LT(value, bounds[i]);
      sums[i] += static_cast<double>(value) / static_cast<double>(bounds[i]);
    });
    EXPECT_EQ(next, bounds.size());
  }
  for (const std::size_t i : {0, 1, 3, 4}) EXPECT_NEAR(sums[i] / n_draws, 0.5, 0.02);
  EXPECT_NEAR(sums[5] / n_draws, 0.25, 0.02);
}

TEST(BatchedIntegers, NoBoundsDrawNothing) {
  RandomStream random(3);
  const RandomStream::State before = random.state();
  BatchedIntegers({}).draw(random, [](std::size_t, std::size_t) { FAIL(); });
  EXPECT_EQ(random.state(), before);
}

TEST(PartialShuffle, EverySelectionIsEquallyLikely) {
  const PartialShuffle shuffle(5, 2);
  RandomStream random(4);
  std::vector<std::size_t> items{0, 1, 2, 3, 4};
  std::map<std::vector<std::size_t>, int> counts;
  constexpr int n_draws = 20 * 1000;
  for (int draw = 0; draw < n_draws; ++draw) {
    shuffle(random, items.data());
    ++counts[{items[0], items[1]}];
  }
  ASSERT_EQ(counts.size(), 20U);
  // 19 degrees of freedom: 43.8 is exceeded once in a thousand.
  EXPECT_LT(chi_squared(counts, 20, n_draws), 43.8);
  std::sort(items.begin(), items.end());
  EXPECT_EQ(items, (std::vector<std::size_t>{0, 1, 2, 3, 4}));
}

TEST(PartialShuffle, EveryOrderIsEquallyLikely) {
  const PartialShuffle shuffle(4, 3);
  RandomStream random(5);
  std::map<std::vector<std::size_t>, int> counts;
  constexpr int n_draws = 24 * 1000;
  for (int draw = 0; draw < n_draws; ++draw) {
    std::vector<std::size_t> items{0, 1, 2, 3};
    shuffle(random, items.data());
    ++counts[items];
  }
  ASSERT_EQ(counts.size(), 24U);
  // 23 degrees of freedom: 49.7 is exceeded once in a thousand.
  EXPECT_LT(chi_squared(counts, 24, n_draws), 49.7);
}

}  // namespace
}  // namespace moexray::stats
