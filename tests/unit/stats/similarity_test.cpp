#include "moexray/stats/similarity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "stats_support.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

// Equation 5 as it is written.
double plain_similarity(const Signatures& s, std::size_t a, std::size_t b) {
  const auto row_a = static_cast<Eigen::Index>(a);
  const auto row_b = static_cast<Eigen::Index>(b);
  double sum = 0;
  for (int layer = 0; layer < s.shape.n_layers; ++layer) {
    double dot = 0;
    double norm_a = 0;
    double norm_b = 0;
    for (int e = 0; e < s.shape.n_experts; ++e) {
      const double x = s.values(row_a, layer * s.shape.n_experts + e);
      const double y = s.values(row_b, layer * s.shape.n_experts + e);
      dot += x * y;
      norm_a += x * x;
      norm_b += y * y;
    }
    sum += dot / std::sqrt(norm_a) / std::sqrt(norm_b);
  }
  return sum / s.shape.n_layers;
}

PairStatistics plain_statistics(const std::vector<double>& values) {
  PairStatistics result;
  result.n_pairs = static_cast<std::int64_t>(values.size());
  if (values.empty()) return result;
  long double sum = 0;
  for (const double value : values) sum += value;
  const long double mean = sum / values.size();
  result.mean = static_cast<double>(mean);
  if (values.size() < 2) return result;
  long double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  result.std = static_cast<double>(std::sqrt(squares / (values.size() - 1)));
  return result;
}

WithinAcross plain_pairs(const Signatures& s) {
  std::vector<double> within;
  std::vector<double> across;
  for (std::size_t a = 0; a < s.size(); ++a) {
    for (std::size_t b = a + 1; b < s.size(); ++b) {
      (s.categories[a] == s.categories[b] ? within : across).push_back(plain_similarity(s, a, b));
    }
  }
  return {plain_statistics(within), plain_statistics(across)};
}

void expect_equal(const PairStatistics& found, const PairStatistics& expected, double tolerance) {
  EXPECT_EQ(found.n_pairs, expected.n_pairs);
  EXPECT_EQ(std::isnan(found.mean), std::isnan(expected.mean));
  EXPECT_EQ(std::isnan(found.std), std::isnan(expected.std));
  if (!std::isnan(expected.mean)) {
    EXPECT_NEAR(found.mean, expected.mean, tolerance);
  }
  if (!std::isnan(expected.std)) {
    EXPECT_NEAR(found.std, expected.std, tolerance);
  }
}

TEST(Similarity, MatrixIsThePlainFormula) {
  const Signatures s = test::random_signatures(test::mixed_categories({4, 3, 5}, 1), 2);
  const Matrix matrix = pair_similarity(unit_blocks(s));
  for (std::size_t a = 0; a < s.size(); ++a) {
    for (std::size_t b = 0; b < s.size(); ++b) {
      EXPECT_NEAR(matrix(static_cast<Eigen::Index>(a), static_cast<Eigen::Index>(b)),
                  plain_similarity(s, a, b), 1e-14);
    }
  }
  EXPECT_EQ(matrix, Matrix(matrix.transpose()));
}

TEST(Similarity, BlocksOfRowsAreTheMatrix) {
  const Signatures s = test::random_signatures(test::mixed_categories({200, 150, 191}, 1), 2);
  const Matrix blocks = unit_blocks(s);
  const Matrix whole = pair_similarity(blocks);
  Matrix joined(whole.rows(), whole.cols());
  Eigen::Index n_rows = 0;
  Eigen::Index largest = 0;
  for_each_similarity_block(blocks, [&](Eigen::Index first, const Matrix& rows) {
    ASSERT_EQ(first, n_rows);
    joined.middleRows(first, rows.rows()) = rows;
    n_rows += rows.rows();
    largest = std::max(largest, rows.rows());
  });
  EXPECT_EQ(n_rows, 541);
  EXPECT_LE(largest, 256) << "more than a strip was held";
  EXPECT_LT((joined - whole).cwiseAbs().maxCoeff(), 1e-14);
  EXPECT_EQ(joined.diagonal().minCoeff(), 1);
  EXPECT_EQ(joined.diagonal().maxCoeff(), 1);
}

TEST(Similarity, PairStatisticsAgreeWithALoopOverPairs) {
  struct Shape {
    std::vector<int> sizes;
    int n_layers, n_experts;
  };
  for (const auto& [sizes, n_layers, n_experts] : {Shape{{4, 3, 5}, 4, 8},
                                                   {{20, 20, 20, 20}, 2, 6},
                                                   {{1, 1}, 1, 4},
                                                   {{2, 1}, 3, 3},
                                                   {{300, 40, 7}, 2, 8},
                                                   {{1, 9}, 2, 4},
                                                   {{12}, 2, 4}}) {
    for (const double effect : {0.0, 1.0}) {
      const Signatures s =
          test::random_signatures(test::mixed_categories(sizes, 3), 4,
                                  {.n_layers = n_layers, .n_experts = n_experts, .effect = effect});
      const CategoryIndex categories = index_categories(s);
      const Matrix blocks = unit_blocks(s);
      const WithinAcross expected = plain_pairs(s);
      const WithinAcross by_rows = pair_statistics_by_rows(blocks, categories);
      expect_equal(by_rows.within, expected.within, 1e-12);
      expect_equal(by_rows.across, expected.across, 1e-12);
      const WithinAcross by_moments = pair_statistics_by_moments(blocks, categories);
      expect_equal(by_moments.within, expected.within, 1e-10);
      expect_equal(by_moments.across, expected.across, 1e-10);
    }
  }
}

TEST(Similarity, CategoriesWithoutPromptsChangeNothing) {
  // As many features as make Eigen divide products into blocks.
  const Signatures s = test::random_signatures(test::mixed_categories({50, 40}, 3), 4,
                                               {.n_layers = 4, .n_experts = 16});
  const Matrix blocks = unit_blocks(s);
  const CategoryIndex categories = index_categories(s);
  CategoryIndex more = categories;
  more.names = {categories.names[0], "empty", categories.names[1], "last"};
  more.n_prompts = {categories.n_prompts[0], 0, categories.n_prompts[1], 0};
  for (int& c : more.of_prompt) c *= 2;
  const CategoryIndex nobody{categories.names, {}, {0, 0}};
  for (const auto statistics : {pair_statistics_by_rows, pair_statistics_by_moments}) {
    const WithinAcross expected = statistics(blocks, categories);
    const WithinAcross found = statistics(blocks, more);
    expect_equal(found.within, expected.within, 1e-13);
    expect_equal(found.across, expected.across, 1e-13);
    const WithinAcross nothing = statistics(blocks.topRows(0), nobody);
    expect_equal(nothing.within, {}, 0);
    expect_equal(nothing.across, {}, 0);
  }
}

TEST(Similarity, SpreadSurvivesNearlyEqualSignatures) {
  Signatures s = test::random_signatures(test::mixed_categories({30, 30}, 1), 2,
                                         {.n_layers = 1, .n_experts = 8});
  // Similarities around 1 − 1e-6: their spread is far below their size.
  const Eigen::RowVectorXd common = s.values.colwise().mean();
  s.values = (1e-3 * s.values).rowwise() + (1 - 1e-3) * common;
  const WithinAcross expected = plain_pairs(s);
  ASSERT_LT(expected.within.std, 1e-5);
  const CategoryIndex categories = index_categories(s);
  const Matrix blocks = unit_blocks(s);
  for (const WithinAcross& found : {pair_statistics_by_rows(blocks, categories),
                                    pair_statistics_by_moments(blocks, categories)}) {
    EXPECT_NEAR(found.within.std / expected.within.std, 1, 1e-6);
    EXPECT_NEAR(found.across.std / expected.across.std, 1, 1e-6);
  }
}

TEST(Similarity, EqualSignaturesHaveNoSpread) {
  Signatures s = test::random_signatures({"a", "a", "a", "b", "b"}, 2);
  s.values.row(1) = s.values.row(2) = s.values.row(0);
  s.values.row(4) = s.values.row(3);
  const SimilarityResult result = similarity(s);
  EXPECT_NEAR(result.within.mean, 1, 1e-15);
  EXPECT_LT(result.within.std, 1e-15);
  EXPECT_LT(result.across.std, 1e-15);
  EXPECT_TRUE(std::isnan(result.cohens_d));
}

TEST(Similarity, ReproducesThePapersCohensD) {
  // 80 prompts in four categories: 760 pairs within, 2,400 across.
  const double d = cohens_d({0.8435, 0.0879, 760}, {0.6225, 0.1687, 2400});
  EXPECT_NEAR(d, 1.44, 0.005);
}

TEST(Similarity, CohensDIsUndefinedWithoutSpread) {
  EXPECT_TRUE(std::isnan(cohens_d({}, {0.5, 0.1, 10})));
  EXPECT_TRUE(std::isnan(cohens_d({0.9, undefined, 1}, {0.5, undefined, 1})));
  EXPECT_TRUE(std::isnan(cohens_d({0.9, 0, 5}, {0.5, 0, 5})));
  EXPECT_NEAR(cohens_d({0.9, undefined, 1}, {0.5, 0.1, 2}), 4, 1e-12);
}

TEST(Similarity, CategoryMatrixHoldsPairMeans) {
  const Signatures s = test::random_signatures(test::mixed_categories({4, 1, 6}, 5), 6);
  const SimilarityResult result = similarity(s);
  ASSERT_EQ(result.categories, (std::vector<std::string>{"c0", "c1", "c2"}));
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      std::vector<double> values;
      for (std::size_t a = 0; a < s.size(); ++a) {
        for (std::size_t b = 0; b < s.size(); ++b) {
          if (a != b && s.categories[a] == result.categories[static_cast<std::size_t>(i)] &&
              s.categories[b] == result.categories[static_cast<std::size_t>(j)]) {
            values.push_back(plain_similarity(s, a, b));
          }
        }
      }
      if (i == 1 && j == 1) {
        EXPECT_TRUE(std::isnan(result.category_matrix(i, j)));
      } else {
        EXPECT_NEAR(result.category_matrix(i, j), plain_statistics(values).mean, 1e-12);
      }
    }
  }
  ASSERT_FALSE(result.notices.empty());
  EXPECT_NE(result.notices[0].find("\"c1\" has one prompt"), std::string::npos);
  EXPECT_NEAR(result.gap, result.within.mean - result.across.mean, 1e-15);
  EXPECT_NEAR(result.cohens_d, cohens_d(result.within, result.across), 1e-15);
}

TEST(Similarity, OneCategoryLeavesAcrossUndefined) {
  const SimilarityResult result = similarity(test::random_signatures({"a", "a", "a"}, 7));
  EXPECT_EQ(result.within.n_pairs, 3);
  EXPECT_EQ(result.across.n_pairs, 0);
  EXPECT_TRUE(std::isnan(result.across.mean));
  EXPECT_TRUE(std::isnan(result.gap));
  EXPECT_TRUE(std::isnan(result.cohens_d));
  ASSERT_FALSE(result.notices.empty());
  EXPECT_NE(result.notices[0].find("only one category"), std::string::npos);
}

TEST(Similarity, DoesNotDependOnTheOrderOfPrompts) {
  const Signatures s = test::random_signatures(test::mixed_categories({6, 5}, 8), 9);
  Signatures reversed = s;
  reversed.values = s.values.colwise().reverse();
  std::reverse(reversed.ids.begin(), reversed.ids.end());
  std::reverse(reversed.categories.begin(), reversed.categories.end());
  const SimilarityResult a = similarity(s);
  const SimilarityResult b = similarity(reversed);
  EXPECT_NEAR(a.within.mean, b.within.mean, 1e-14);
  EXPECT_NEAR(a.cohens_d, b.cohens_d, 1e-11);
  EXPECT_TRUE(a.category_matrix.isApprox(b.category_matrix, 1e-13));
}

TEST(Similarity, NeedsCategories) {
  Signatures s = test::random_signatures({"a", "b"}, 1);
  s.categories[1] = "";
  test::expect_error(ErrorKind::data, "without a category", [&] { similarity(s); });
}

}  // namespace
}  // namespace moexray::stats
