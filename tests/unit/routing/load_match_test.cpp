#include "moexray/routing/load_match.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "moexray/core/random.h"

namespace moexray {
namespace {

constexpr RouterSpec rule{16, 4, false};
constexpr std::size_t n_rows = 600;

// Logits that prefer some experts by far.
std::vector<float> uneven_logits(std::uint64_t seed, double unevenness) {
  RandomStream random(seed);
  std::vector<double> mean;
  for (int e = 0; e < rule.n_experts; ++e) mean.push_back(unevenness * random.normal());
  std::vector<float> logits;
  for (std::size_t row = 0; row < n_rows; ++row) {
    for (const double one : mean) logits.push_back(static_cast<float>(one + random.normal()));
  }
  return logits;
}

std::int64_t distance(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  std::int64_t sum = 0;
  for (std::size_t e = 0; e < a.size(); ++e) sum += std::abs(a[e] - b[e]);
  return sum;
}

TEST(LoadMatch, CountsHowOftenExpertsAreChosen) {
  const std::vector<float> logits = {0, 3, 2, 1, 5, 4, 0, 0};
  EXPECT_EQ(expert_loads({4, 2, false}, logits), (std::vector<std::int64_t>{1, 2, 1, 0}));
}

TEST(LoadMatch, BiasesGiveARouterTheLoadOfAnother) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const std::vector<std::int64_t> target = expert_loads(rule, uneven_logits(seed, 0.5));
    std::vector<float> logits = uneven_logits(seed + 100, 1.5);
    const std::int64_t before = distance(expert_loads(rule, logits), target);
    const std::vector<float> biases = load_matching_biases(rule, logits, target);
    for (std::size_t i = 0; i < logits.size(); ++i) logits[i] += biases[i % biases.size()];
    const std::int64_t after = distance(expert_loads(rule, logits), target);
    // 2,400 choices; what is left is within two in a hundred of them.
    EXPECT_GT(before, 600);
    EXPECT_LT(after, 48) << "seed " << seed;
  }
}

TEST(LoadMatch, TheBestStepStaysWhereNoneFits) {
  // Five equal rows of two experts choose alike: loads are (0, 5) or (5, 0), nothing between.
  constexpr RouterSpec one_of_two{2, 1, false};
  for (int gap = 1; gap <= 9; ++gap) {
    std::vector<float> logits;
    for (int row = 0; row < 5; ++row) {
      logits.insert(logits.end(), {0.0F, static_cast<float>(gap) / 4});
    }
    const std::vector<std::int64_t> target = {2, 3};
    const std::vector<float> biases = load_matching_biases(one_of_two, logits, target);
    for (std::size_t i = 0; i < logits.size(); ++i) logits[i] += biases[i % 2];
    EXPECT_EQ(expert_loads(one_of_two, logits), (std::vector<std::int64_t>{0, 5})) << gap;
  }
}

TEST(LoadMatch, ALoadThatFitsNeedsNoBias) {
  const std::vector<float> logits = uneven_logits(7, 1);
  const auto biases = load_matching_biases(rule, logits, expert_loads(rule, logits));
  EXPECT_EQ(biases, std::vector<float>(16, 0.0F));
}

}  // namespace
}  // namespace moexray
