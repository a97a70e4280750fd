#include "moexray/runtime/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "support/expect_error.h"

namespace moexray {
namespace {

using test::expect_error;

constexpr float infinity = std::numeric_limits<float>::infinity();

TEST(MostProbableToken, TakesTheLowestOfEqualOnes) {
  EXPECT_EQ(most_probable_token(std::vector<float>{1, 3, 3, 2}), 1);
  EXPECT_EQ(most_probable_token(std::vector<float>{-5}), 0);
  EXPECT_EQ(most_probable_token(std::vector<float>{-infinity, -1e30F, -infinity}), 1);
  expect_error(ErrorKind::data, "every logit is -inf",
               [] { most_probable_token(std::vector<float>{-infinity, -infinity}); });
  expect_error(ErrorKind::data, "every logit is -inf",
               [] { most_probable_token(std::vector<float>{}); });
}

TEST(SampleToken, HasTheDistributionOfHuggingFacesWarpers) {
  std::ifstream file(MOEXRAY_TEST_DATA "/sampling.json");
  const auto cases = nlohmann::json::parse(file);
  ASSERT_GE(cases.size(), 8U);
  for (const auto& one : cases) {
    const auto logits = one["logits"].get<std::vector<float>>();
    const auto expected = one["probabilities"].get<std::vector<double>>();
    const SamplingOptions options{one["temperature"], one["top_p"]};
    SCOPED_TRACE(testing::Message()
                 << "temperature " << options.temperature << ", top_p " << options.top_p);
    const auto found = sampling_probabilities(logits, options);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-12);
  }
}

TEST(SampleToken, DrawsFromItsDistribution) {
  const std::vector<float> logits = {0.5F, -1, 2, 1, -infinity, 0};
  for (const SamplingOptions& options :
       {SamplingOptions{1.0, 1.0}, SamplingOptions{0.6, 1.0}, SamplingOptions{1.3, 0.8}}) {
    const auto probabilities = sampling_probabilities(logits, options);
    EXPECT_NEAR(std::accumulate(probabilities.begin(), probabilities.end(), 0.0), 1, 1e-12);
    constexpr int n_draws = 40'000;
    std::vector<int> counts(logits.size(), 0);
    RandomStream stream(11);
    for (int i = 0; i < n_draws; ++i) {
      ++counts[static_cast<std::size_t>(sample_token(logits, options, stream))];
    }
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double p = probabilities[i];
      // Five standard deviations of a binomial count.
      EXPECT_NEAR(counts[i], n_draws * p, 5 * std::sqrt(n_draws * p * (1 - p)) + 1e-9) << i;
    }
  }
}

TEST(SampleToken, KeepsTheLowerOfEqualTokens) {
  const std::vector<float> logits = {1, 1, 1, 1};
  EXPECT_EQ(sampling_probabilities(logits, {1.0, 0.5}), (std::vector<double>{0.5, 0.5, 0, 0}));
  EXPECT_EQ(sampling_probabilities(logits, {1.0, 0.0}), (std::vector<double>{1, 0, 0, 0}));
}

TEST(SampleToken, SurvivesExtremeLogitsAndTemperatures) {
  RandomStream stream(3);
  const std::vector<float> logits = {3e38F, -3e38F, 0};
  EXPECT_EQ(sample_token(logits, {1e-300, 1.0}, stream), 0);
  EXPECT_EQ(sample_token(logits, {1.0, 0.5}, stream), 0);
}

TEST(SampleToken, TakesOneValueOfTheStream) {
  RandomStream a(5);
  RandomStream b(5);
  sample_token(std::vector<float>{1, 2, 3}, {1.0, 0.9}, a);
  b();
  EXPECT_EQ(a.state(), b.state());
}

TEST(SampleToken, RefusesImpossibleOptions) {
  RandomStream stream(1);
  const std::vector<float> logits = {1, 2};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double temperature : {0.0, -1.0, nan, std::numeric_limits<double>::infinity()}) {
    expect_error(ErrorKind::usage, "temperature",
                 [&] { sample_token(logits, {temperature, 1.0}, stream); });
  }
  for (const double top_p : {-0.1, 1.1, nan}) {
    expect_error(ErrorKind::usage, "top_p", [&] { sample_token(logits, {1.0, top_p}, stream); });
  }
}

}  // namespace
}  // namespace moexray
