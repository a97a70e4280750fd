#include <gtest/gtest.h>

#include "moexray/stats/confounds.h"
#include "moexray/stats/information.h"
#include "stats_support.h"

namespace moexray::stats {
namespace {

// The sizes alone decide.
Signatures sized(int n_prompts, int n_categories, int n_layers, int n_experts) {
  Signatures signatures;
  signatures.shape = {n_layers, n_experts, 2};
  signatures.values.resize(n_prompts, n_layers * n_experts);
  for (int i = 0; i < n_prompts; ++i) {
    signatures.ids.push_back(std::to_string(i));
    signatures.categories.push_back(std::to_string(i % n_categories));
  }
  return signatures;
}

TEST(Affordable, TheShippedPromptsGetWhatIsAskedFor) {
  const Signatures shipped = sized(80, 4, 16, 64);
  ConfoundsOptions confounds;
  confounds.n_repetitions = 10;
  confounds.n_permutations = 199;
  const auto found = affordable(confounds, shipped);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->n_repetitions, 10);
  EXPECT_EQ(found->n_permutations, 199);
  InformationOptions information;
  information.n_repetitions = 25;
  const auto bits = affordable(information, shipped);
  ASSERT_TRUE(bits);
  EXPECT_EQ(bits->n_repetitions, 25);
  EXPECT_EQ(bits->n_permutations, 0);  // as many as false discovery rates need
}

TEST(Affordable, LargerInputsGetFewerOrNone) {
  ConfoundsOptions confounds;
  confounds.n_repetitions = 10;
  confounds.n_permutations = 199;
  const auto some = affordable(confounds, sized(250, 4, 16, 64));
  ASSERT_TRUE(some);
  EXPECT_EQ(some->n_repetitions, 0);
  EXPECT_GE(some->n_permutations, 99);
  EXPECT_LE(some->n_permutations, 199);
  EXPECT_FALSE(affordable(confounds, sized(2000, 4, 16, 64)));
  EXPECT_FALSE(affordable(confounds, sized(285, 57, 61, 256)));
  // Nobody gets more than was asked for.
  confounds.n_permutations = 0;
  confounds.n_repetitions = 0;
  EXPECT_EQ(affordable(confounds, sized(80, 4, 16, 64))->n_permutations, 0);

  InformationOptions information;
  information.n_repetitions = 25;
  const auto fewer = affordable(information, sized(2000, 4, 16, 64));
  ASSERT_TRUE(fewer);
  EXPECT_EQ(fewer->n_repetitions, 0);
  EXPECT_EQ(fewer->n_permutations, 999);
  EXPECT_FALSE(affordable(information, sized(200'000, 4, 16, 64)));
}

}  // namespace
}  // namespace moexray::stats
