#include "moexray/stats/routing_distance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "moexray/core/random.h"

namespace moexray::stats {
namespace {

double cosine(const std::vector<double>& a, const std::vector<double>& b) {
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

// All sets of k of E experts.
std::vector<std::vector<ExpertId>> all_choices(int n_experts, int k) {
  std::vector<std::vector<ExpertId>> choices;
  std::vector<bool> mask(static_cast<std::size_t>(n_experts));
  std::fill(mask.begin(), mask.begin() + k, true);
  do {
    std::vector<ExpertId> choice;
    for (int e = 0; e < n_experts; ++e) {
      if (mask[static_cast<std::size_t>(e)]) choice.push_back(e);
    }
    choices.push_back(choice);
  } while (std::prev_permutation(mask.begin(), mask.end()));
  return choices;
}

TEST(RoutingDistance, IsOneMinusTheCosineOverTheLargestPossible) {
  constexpr int n_experts = 7;
  constexpr int k = 3;
  std::vector<double> mean{0.3, 0.02, 0.2, 0.08, 0.25, 0, 0.15};
  const auto choices = all_choices(n_experts, k);
  const auto cosine_of = [&](const std::vector<ExpertId>& choice) {
    std::vector<double> hot(n_experts);
    for (const ExpertId e : choice) hot[static_cast<std::size_t>(e)] = 1;
    return cosine(hot, mean);
  };
  double best = 0;
  for (const auto& choice : choices) best = std::max(best, cosine_of(choice));
  const RoutingDistance distance(mean, k);
  double sum = 0;
  for (const auto& choice : choices) {
    EXPECT_NEAR(distance.of(choice), 1 - cosine_of(choice) / best, 1e-12);
    sum += distance.of(choice);
  }
  EXPECT_NEAR(distance.uniform(), sum / static_cast<double>(choices.size()), 1e-12);
  EXPECT_EQ(distance.of(std::vector<ExpertId>{0, 2, 4}), 0);
}

TEST(RoutingDistance, TypicalIsTheMeanOverTheTokensBehindTheMean) {
  constexpr int n_experts = 6;
  constexpr int k = 2;
  const auto choices = all_choices(n_experts, k);
  std::vector<double> mean(n_experts);
  std::vector<std::vector<ExpertId>> tokens;
  RandomStream random(3);
  for (int t = 0; t < 50; ++t) {
    // The first choices come more often.
    const auto i = std::min(random() % choices.size(), random() % choices.size());
    tokens.push_back(choices[i]);
    for (const ExpertId e : tokens.back()) mean[static_cast<std::size_t>(e)] += 1.0 / (50 * k);
  }
  const RoutingDistance distance(mean, k);
  double sum = 0;
  for (const auto& token : tokens) sum += distance.of(token);
  EXPECT_NEAR(distance.typical(), sum / 50, 1e-12);
  EXPECT_LT(distance.typical(), distance.uniform());
}

TEST(RoutingDistance, TokensOfNoKnownExpertAreFarthest) {
  const RoutingDistance distance({0.5, 0.5, 0, 0}, 2);
  EXPECT_EQ(distance.of(std::vector<ExpertId>{2, 3}), 1);
  EXPECT_EQ(distance.of(std::vector<ExpertId>{0, 3}), 0.5);
  EXPECT_TRUE(std::isnan(RoutingDistance({0, 0}, 1).of(std::vector<ExpertId>{0})));
}

}  // namespace
}  // namespace moexray::stats
