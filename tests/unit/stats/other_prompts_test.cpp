#include "moexray/stats/other_prompts.h"

#include <gtest/gtest.h>

#include <cmath>

#include "moexray/core/error.h"
#include "moexray/stats/similarity.h"

namespace moexray::stats {
namespace {

Signatures five_prompts() {
  Signatures signatures;
  signatures.shape = {2, 2, 1};
  signatures.values.resize(5, 4);
  signatures.values << 1, 0, 0.5, 0.5,  //
      0, 1, 1, 0,                       //
      0, 1, 0, 1,                       //
      0.25, 0.75, 0.5, 0.5,             //
      1, 0, 0, 1;
  signatures.ids = {"a", "b", "c", "d", "e"};
  signatures.categories = {"x", "x", "y", "x", ""};
  return signatures;
}

using Layers = std::vector<std::vector<double>>;

TEST(OtherPrompts, MeanWeighsPromptsAlikeAndLeavesTheOneOut) {
  const Signatures signatures = five_prompts();
  const OtherPrompts others(signatures);
  EXPECT_EQ(others.size("x", 3), 2U);
  EXPECT_EQ(others.mean_signature("x", 3), (Layers{{0.5, 0.5}, {0.75, 0.25}}));
  // Without a signature of its own all are others.
  EXPECT_EQ(others.size("y", std::nullopt), 1U);
  EXPECT_EQ(others.mean_signature("y", std::nullopt), (Layers{{0, 1}, {0, 1}}));
  // Without a category: all but itself.
  EXPECT_EQ(others.size("", 4), 4U);
  EXPECT_EQ(others.mean_signature("", 4), (Layers{{0.3125, 0.6875}, {0.5, 0.5}}));
  EXPECT_EQ(others.size("y", 2), 0U);
  EXPECT_THROW(others.mean_signature("y", 2), Error);
  EXPECT_EQ(others.size("z", std::nullopt), 0U);
  EXPECT_THROW(others.mean_signature("z", std::nullopt), Error);
}

TEST(SimilarityToOthers, IsTheMeanOverPairsOfTheCategory) {
  const Signatures signatures = five_prompts();
  const Matrix pairs = pair_similarity(unit_blocks(signatures));
  const std::vector<double> found = similarity_to_others(signatures);
  ASSERT_EQ(found.size(), 5U);
  EXPECT_NEAR(found[0], (pairs(0, 1) + pairs(0, 3)) / 2, 1e-12);
  EXPECT_NEAR(found[1], (pairs(1, 0) + pairs(1, 3)) / 2, 1e-12);
  EXPECT_NEAR(found[3], (pairs(3, 0) + pairs(3, 1)) / 2, 1e-12);
  EXPECT_TRUE(std::isnan(found[2])) << "the only one of its category";
  EXPECT_TRUE(std::isnan(found[4])) << "the only one without a category";
}

}  // namespace
}  // namespace moexray::stats
