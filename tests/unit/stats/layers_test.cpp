#include "moexray/stats/layers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "stats_support.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

using test::mean_of;
using test::variance_of;

double plain_cosine(const Signatures& s, std::size_t a, std::size_t b, int layer) {
  double dot = 0;
  double norm_a = 0;
  double norm_b = 0;
  for (int e = 0; e < s.shape.n_experts; ++e) {
    const double x = s.values(static_cast<Eigen::Index>(a), layer * s.shape.n_experts + e);
    const double y = s.values(static_cast<Eigen::Index>(b), layer * s.shape.n_experts + e);
    dot += x * y;
    norm_a += x * x;
    norm_b += y * y;
  }
  return dot / std::sqrt(norm_a) / std::sqrt(norm_b);
}

TEST(Layers, AgreeWithALoopOverPairs) {
  // Fewer prompts than experts, and more.
  for (const auto& [sizes, n_experts] :
       {std::pair{std::vector<int>{4, 3, 5}, 16}, {std::vector<int>{9, 14, 1}, 6}}) {
    const Signatures s = test::random_signatures(test::mixed_categories(sizes, 1), 2,
                                                 {.n_layers = 5, .n_experts = n_experts});
    const LayersResult result = layer_separation(s);
    ASSERT_EQ(result.layers.size(), 5U);
    int peak = 0;
    for (int layer = 0; layer < 5; ++layer) {
      std::vector<double> within;
      std::vector<double> across;
      for (std::size_t a = 0; a < s.size(); ++a) {
        for (std::size_t b = 0; b < a; ++b) {
          (s.categories[a] == s.categories[b] ? within : across)
              .push_back(plain_cosine(s, a, b, layer));
        }
      }
      const auto n_w = static_cast<double>(within.size());
      const auto n_a = static_cast<double>(across.size());
      const double pooled = std::sqrt(
          ((n_w - 1) * variance_of(within) + (n_a - 1) * variance_of(across)) / (n_w + n_a - 2));
      const double d = (mean_of(within) - mean_of(across)) / pooled;
      const LayerSeparation& found = result.layers[static_cast<std::size_t>(layer)];
      EXPECT_NEAR(found.within.mean, mean_of(within), 1e-13);
      EXPECT_NEAR(found.across.mean, mean_of(across), 1e-13);
      EXPECT_NEAR(found.within.std, std::sqrt(variance_of(within)), 1e-12);
      EXPECT_EQ(found.across.n_pairs, static_cast<std::int64_t>(across.size()));
      EXPECT_NEAR(found.cohens_d, d, 1e-10);
      if (d > result.layers[static_cast<std::size_t>(peak)].cohens_d) peak = layer;
    }
    EXPECT_EQ(result.peak_layer, peak);
  }
}

TEST(Layers, MeansAverageToTheSimilarity) {
  const Signatures s = test::random_signatures(test::mixed_categories({6, 5}, 3), 4);
  const LayersResult result = layer_separation(s);
  double within = 0;
  for (const LayerSeparation& layer : result.layers) within += layer.within.mean / 4;
  EXPECT_NEAR(within, similarity(s).within.mean, 1e-13);
}

TEST(Layers, LayerWithoutSpreadHasNoD) {
  Signatures s = test::random_signatures(test::mixed_categories({6, 5}, 5), 6);
  for (Eigen::Index i = 0; i < s.values.rows(); ++i) {
    s.values.row(i).head(8).setConstant(1.0 / 8);
    s.values.row(i).segment(16, 8) = s.values.row(0).segment(16, 8);
  }
  const LayersResult result = layer_separation(s);
  EXPECT_TRUE(std::isnan(result.layers[0].cohens_d));
  EXPECT_NEAR(result.layers[0].within.mean, 1, 1e-14);
  EXPECT_FALSE(std::isnan(result.layers[1].cohens_d));
  EXPECT_TRUE(std::isnan(result.layers[2].cohens_d));
  EXPECT_TRUE(result.peak_layer == 1 || result.peak_layer == 3);
  ASSERT_EQ(result.notices.size(), 1U);
  EXPECT_NE(result.notices[0].find("at layers 0, 2:"), std::string::npos) << result.notices[0];
}

TEST(Layers, ConstantExpertIsNoTrouble) {
  // Expert 0 takes every token of every prompt.
  Signatures s = test::random_signatures({"a", "a", "b", "b"}, 7, {.n_layers = 1, .n_experts = 4});
  for (Eigen::Index i = 0; i < 4; ++i) {
    s.values(i, 0) = 0.5;
    s.values.row(i).tail(3) *= 0.5 / s.values.row(i).tail(3).sum();
  }
  EXPECT_EQ(layer_separation(s).peak_layer, 0);
}

TEST(Layers, SmallDataLeaveDUndefined) {
  const LayersResult one_category = layer_separation(test::random_signatures({"a", "a", "a"}, 1));
  EXPECT_EQ(one_category.peak_layer, -1);
  EXPECT_FALSE(std::isnan(one_category.layers[0].within.mean));
  EXPECT_TRUE(std::isnan(one_category.layers[0].across.mean));
  ASSERT_EQ(one_category.notices.size(), 1U);
  EXPECT_NE(one_category.notices[0].find("only one category"), std::string::npos);
  const LayersResult one_prompt = layer_separation(test::random_signatures({"a"}, 1));
  EXPECT_EQ(one_prompt.peak_layer, -1);
  EXPECT_EQ(one_prompt.layers.size(), 4U);
}

TEST(Layers, NeedCategories) {
  Signatures s = test::random_signatures({"a", "b"}, 1);
  s.categories[0] = "";
  test::expect_error(ErrorKind::data, "without a category", [&] { layer_separation(s); });
}

TEST(Layers, AllLayersOfThePeakAreNamed) {
  // Layers 1 and 3 are the same, and separate best; layer 2 is the same but for its experts' order.
  Signatures s = test::random_signatures(test::mixed_categories({6, 6}, 1), 2,
                                         {.n_layers = 4, .n_experts = 8, .effect = 1});
  const Matrix best = s.values.middleCols(8, 8);
  s.values.middleCols(24, 8) = best;
  s.values.middleCols(16, 8) = best.rowwise().reverse();
  const LayersResult result = layer_separation(s);
  ASSERT_FALSE(result.peak_layers.empty());
  EXPECT_EQ(result.peak_layer, result.peak_layers[0]);
  EXPECT_EQ(result.peak_layers,
            result.peak_layer == 0 ? (std::vector<int>{0}) : (std::vector<int>{1, 2, 3}));
  s.values.leftCols(8) = best;
  EXPECT_EQ(layer_separation(s).peak_layers, (std::vector<int>{0, 1, 2, 3}));
}

}  // namespace
}  // namespace moexray::stats
