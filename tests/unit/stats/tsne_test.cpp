#include "moexray/stats/tsne.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "moexray/stats/pca.h"
#include "projection_cases.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

TEST(Tsne, IsAsGoodAsScikitLearns) {
  for (const auto& c : test::projection_cases()) {
    SCOPED_TRACE(c.name);
    const TsneResult result = tsne(c.rows, {.perplexity = c.perplexity});
    EXPECT_EQ(result.perplexity, c.perplexity);
    EXPECT_LE(result.kl_divergence,
              1.02 * *std::max_element(c.kl_divergences.begin(), c.kl_divergences.end()));
    EXPECT_GE(result.trustworthiness,
              *std::min_element(c.trustworthinesses.begin(), c.trustworthinesses.end()));
    EXPECT_TRUE(result.notices.empty());
    RecordProperty(c.name, std::to_string(result.kl_divergence) + " " +
                               std::to_string(result.trustworthiness) + " " +
                               std::to_string(result.n_iterations));
  }
}

TEST(Tsne, SeparatesClusters) {
  const TsneResult result = tsne(test::random_points(90, 12, 3, 1), {.perplexity = 15});
  for (Eigen::Index i = 0; i < 90; ++i) {
    double own = 0;
    double other = 1e9;
    for (Eigen::Index j = 0; j < 90; ++j) {
      const double distance = (result.embedding.row(i) - result.embedding.row(j)).norm();
      if (i % 3 == j % 3) {
        own = std::max(own, distance);
      } else {
        other = std::min(other, distance);
      }
    }
    EXPECT_LT(own, other);
  }
  EXPECT_GT(result.trustworthiness, 0.9);
}

TEST(Tsne, DoesNotDependOnThreadsOrWhereTheStartComesFrom) {
  const Matrix rows = test::random_points(600, 10, 4, 2);
  const TsneResult one = tsne(rows, {.max_iterations = 300});
  const TsneResult three = tsne(rows, {.max_iterations = 300, .n_threads = 3});
  EXPECT_EQ(one.embedding, three.embedding);
  EXPECT_EQ(one.kl_divergence, three.kl_divergence);
  EXPECT_EQ(one.trustworthiness, three.trustworthiness);
  const TsneResult given = tsne(rows, {.max_iterations = 300, .start = pca(rows, {}).scores});
  EXPECT_EQ(one.embedding, given.embedding);
}

TEST(Tsne, LowersThePerplexityForFewRows) {
  const TsneResult result = tsne(test::random_points(20, 5, 2, 3), {});
  EXPECT_EQ(result.perplexity, 19.0 / 3);
  ASSERT_EQ(result.notices.size(), 1U);
  EXPECT_NE(result.notices[0].find("lowered from 30 to 6.333"), std::string::npos)
      << result.notices[0];
  EXPECT_EQ(tsne(test::random_points(31, 5, 2, 3), {.perplexity = 10}).perplexity, 10);
  EXPECT_EQ(tsne(test::random_points(30, 5, 2, 3), {.perplexity = 10}).perplexity, 29.0 / 3);
}

TEST(Tsne, RefusesTooFewRowsAndTooMany) {
  for (const auto& [n, reason] :
       {std::pair{1, "only one prompt"}, {2, "2 prompts"}, {3, "3 prompts"}}) {
    test::expect_error(ErrorKind::data, std::string(reason) + ": t-SNE needs 4 to 20000",
                       [n = n] { tsne(test::random_points(n, 5, 1, 4), {}); });
  }
  test::expect_error(ErrorKind::data, "20001 prompts: t-SNE needs 4 to 20000",
                     [] { tsne(Matrix::Zero(20001, 1), {}); });
  const TsneResult four = tsne(test::random_points(4, 5, 1, 4), {});
  EXPECT_EQ(four.perplexity, 1);
  EXPECT_EQ(four.n_trust_neighbors, 1);
  EXPECT_TRUE(four.embedding.allFinite());
  EXPECT_TRUE(std::isfinite(four.kl_divergence));
}

TEST(Tsne, KeepsEqualRowsTogether) {
  Matrix rows = test::random_points(40, 6, 2, 5);
  for (Eigen::Index i = 20; i < 40; ++i) rows.row(i) = rows.row(i - 20);
  const TsneResult result = tsne(rows, {.perplexity = 5});
  EXPECT_TRUE(result.embedding.allFinite());
  const double size = result.embedding.norm();
  for (Eigen::Index i = 0; i < 20; ++i) {
    EXPECT_LT((result.embedding.row(i) - result.embedding.row(i + 20)).norm(), 0.02 * size);
  }
}

TEST(Tsne, OfEqualRowsIsOnePoint) {
  const TsneResult result = tsne(Matrix::Constant(30, 3, 0.1), {.perplexity = 5});
  EXPECT_EQ(result.embedding.norm(), 0);
  EXPECT_EQ(result.kl_divergence, 0);
  EXPECT_TRUE(std::isnan(result.trustworthiness));
  ASSERT_EQ(result.notices.size(), 1U);
  EXPECT_NE(result.notices[0].find("all signatures are equal"), std::string::npos);
}

TEST(Tsne, OfOneDirectionUsesThePlane) {
  Matrix rows(40, 2);
  for (int i = 0; i < 40; ++i) rows.row(i) << 0.01 * i * i, 3 - 0.02 * i * i;
  const TsneResult result = tsne(rows, {.perplexity = 5, .seed = 1});
  EXPECT_GT(result.embedding.col(1).norm(), 1);
  ASSERT_EQ(result.notices.size(), 1U);
  EXPECT_NE(result.notices[0].find("one direction"), std::string::npos);
  EXPECT_EQ(result.embedding, tsne(rows, {.perplexity = 5, .seed = 1}).embedding);
  EXPECT_NE(result.embedding, tsne(rows, {.perplexity = 5, .seed = 2}).embedding);
}

TEST(Tsne, RefusesWhatIsNoNumber) {
  Matrix rows = test::random_points(10, 3, 1, 6);
  rows(7, 0) = undefined;
  test::expect_error(ErrorKind::data, "row 7", [&] { tsne(rows, {}); });
}

TEST(Tsne, TellsProgressAndCanBeStopped) {
  std::atomic<bool> stop{false};
  int last = 0;
  const auto count = [&](int n_done) {
    EXPECT_EQ(n_done, last + 1);
    last = n_done;
    if (n_done == 30) stop = true;
  };
  test::expect_error(ErrorKind::interrupted, "interrupted", [&] {
    tsne(test::random_points(10, 3, 1, 6), {.stop = &stop, .progress = count});
  });
  EXPECT_EQ(last, 30);
}

TEST(Trustworthiness, MatchesScikitLearn) {
  for (const auto& c : test::projection_cases()) {
    SCOPED_TRACE(c.name);
    EXPECT_NEAR(trustworthiness(c.rows, pca(c.rows, {}).scores, 5), c.pca_trustworthiness, 1e-12);
  }
}

TEST(Trustworthiness, IsOneForTheDataThemselves) {
  const Matrix plane = test::random_points(50, 2, 1, 8);
  EXPECT_EQ(trustworthiness(plane, Matrix(3 * plane), 5), 1);
  EXPECT_LT(trustworthiness(plane, test::random_points(50, 2, 1, 9), 5), 0.7);
}

}  // namespace
}  // namespace moexray::stats
