#include "tsne_objective.h"

#include <gtest/gtest.h>

#include <cmath>

#include "projection_cases.h"
#include "repulsion.h"

namespace moexray::stats {
namespace {

// The joint probabilities as a full matrix.
Matrix full(const InputSimilarities& similarities) {
  Matrix p = Matrix::Zero(similarities.size(), similarities.size());
  for (Eigen::Index i = 0; i < p.rows(); ++i) {
    for (auto entry =
             static_cast<std::size_t>(similarities.row_starts[static_cast<std::size_t>(i)]);
         static_cast<std::int64_t>(entry) <
         similarities.row_starts[static_cast<std::size_t>(i) + 1];
         ++entry) {
      p(i, similarities.columns[entry]) = similarities.values[entry];
    }
  }
  return p;
}

InputSimilarities similarities_of(const Matrix& rows, int k, double perplexity) {
  return input_similarities(nearest_neighbors(rows, k, {}), perplexity);
}

// Equations 4 and 5 of the paper as they stand, and their derivative.
struct PlainObjective {
  double divergence = 0;
  double z = 0;
  Matrix gradient;
};

PlainObjective plain_objective(const Matrix& p, const Matrix& y, double exaggeration) {
  const Eigen::Index n = y.rows();
  Matrix w = Matrix::Zero(n, n);
  for (Eigen::Index i = 0; i < n; ++i) {
    for (Eigen::Index j = 0; j < n; ++j) {
      if (i != j) w(i, j) = 1 / (1 + (y.row(i) - y.row(j)).squaredNorm());
    }
  }
  PlainObjective result{0, w.sum(), Matrix::Zero(n, 2)};
  for (Eigen::Index i = 0; i < n; ++i) {
    for (Eigen::Index j = 0; j < n; ++j) {
      if (i == j) continue;
      const double q = w(i, j) / result.z;
      if (p(i, j) > 0) result.divergence += p(i, j) * std::log(p(i, j) / q);
      result.gradient.row(i) += 4 * (exaggeration * p(i, j) - q) * w(i, j) * (y.row(i) - y.row(j));
    }
  }
  return result;
}

// p_{j|i} over all other rows, β_i by bisection of the perplexity 2^entropy.
Matrix plain_conditionals(const Matrix& rows, double perplexity) {
  const Eigen::Index n = rows.rows();
  Matrix result(n, n);
  for (Eigen::Index i = 0; i < n; ++i) {
    double low = 0;
    double high = 1e3;
    for (int step = 0; step < 200; ++step) {
      const double beta = (low + high) / 2;
      for (Eigen::Index j = 0; j < n; ++j) {
        result(i, j) = i == j ? 0 : std::exp(-beta * (rows.row(i) - rows.row(j)).squaredNorm());
      }
      result.row(i) /= result.row(i).sum();
      double bits = 0;
      for (const double p : result.row(i)) bits -= p > 0 ? p * std::log2(p) : 0;
      (std::exp2(bits) > perplexity ? low : high) = beta;
    }
  }
  return result;
}

TEST(InputSimilarities, EqualTheirDefinition) {
  const Matrix rows = test::random_points(60, 10, 3, 1);
  for (const double perplexity : {2.0, 7.5, 19.0}) {
    const Matrix p = full(similarities_of(rows, 59, perplexity));
    EXPECT_NEAR(p.sum(), 1, 1e-12);
    EXPECT_EQ((p - p.transpose()).norm(), 0);
    const Matrix conditional = plain_conditionals(rows, perplexity);
    EXPECT_LT((p - (conditional + conditional.transpose()) / 120).cwiseAbs().maxCoeff(), 1e-10);
  }
}

TEST(InputSimilarities, OfTwoGroupsByHand) {
  // Perplexity 1 over two neighbours: the nearest takes all.
  Matrix rows(3, 1);
  rows << 0, 1, 3;
  const Matrix p = full(similarities_of(rows, 2, 1));
  EXPECT_NEAR(p(0, 1), 2.0 / 6, 1e-6);
  EXPECT_NEAR(p(1, 2), 1.0 / 6, 1e-6);
  EXPECT_NEAR(p(0, 2), 0, 1e-6);
}

TEST(InputSimilarities, OfEqualRowsAreShared) {
  Matrix rows = Matrix::Zero(12, 2);
  rows(11, 0) = 5;
  const Matrix p = full(similarities_of(rows, 11, 3));
  EXPECT_TRUE(p.allFinite());
  EXPECT_NEAR(p.sum(), 1, 1e-12);
  EXPECT_NEAR(p(0, 1), 2 * 0.1 / 24, 1e-12);
}

TEST(InputSimilarities, FewNeighboursAreEnough) {
  // What the 3·perplexity nearest leave out of the probabilities is small in two dimensions.
  const Matrix rows = test::random_points(400, 2, 1, 2);
  const Matrix all = full(similarities_of(rows, 399, 10));
  const InputSimilarities sparse = similarities_of(rows, 31, 10);
  EXPECT_LT((all - full(sparse)).cwiseAbs().sum(), 0.05);
  EXPECT_LT(sparse.values.size(), 400U * 62);
}

TEST(TsneObjective, EqualsItsDefinition) {
  for (const int n : {4, 7, 16, 83}) {
    const Matrix rows = test::random_points(n, 6, 3, 3);
    const int k = std::min(n - 1, 19);
    const InputSimilarities similarities = similarities_of(rows, k, std::min(6.0, k / 1.5));
    const TsneObjective objective(similarities, 1);
    for (const double spread : {1e-4, 1.0, 40.0}) {
      SCOPED_TRACE(std::to_string(n) + " points, spread " + std::to_string(spread));
      const Matrix y = spread * test::random_points(n, 2, 1, 4);
      const PlainObjective plain = plain_objective(full(similarities), y, 5);
      Matrix gradient;
      const double z = objective.gradient(y, 5, gradient);
      EXPECT_NEAR(z / plain.z, 1, 1e-6);
      EXPECT_LT((gradient - plain.gradient).norm(), 2e-5 * plain.gradient.norm());
      EXPECT_NEAR(objective.normalizer(y) / plain.z, 1, 1e-13);
      EXPECT_NEAR(objective.divergence(y, plain.z), plain.divergence, 1e-12);
    }
  }
}

TEST(TsneObjective, GradientAgreesWithFiniteDifferences) {
  const int n = 40;
  const InputSimilarities similarities = similarities_of(test::random_points(n, 5, 3, 5), 25, 8);
  const TsneObjective objective(similarities, 1);
  const Matrix y = 2 * test::random_points(n, 2, 3, 6);
  Matrix gradient;
  objective.gradient(y, 1, gradient);
  const double h = 1e-5;
  for (Eigen::Index i = 0; i < n; ++i) {
    for (Eigen::Index c = 0; c < 2; ++c) {
      Matrix up = y;
      Matrix down = y;
      up(i, c) += h;
      down(i, c) -= h;
      const double slope = (objective.divergence(up, objective.normalizer(up)) -
                            objective.divergence(down, objective.normalizer(down))) /
                           (2 * h);
      EXPECT_NEAR(gradient(i, c), slope, 1e-6 * gradient.norm());
    }
  }
}

TEST(TsneObjective, DoesNotDependOnThreads) {
  const Matrix rows = test::random_points(1500, 6, 4, 7);
  const InputSimilarities similarities = similarities_of(rows, 40, 12);
  const Matrix y = test::random_points(1500, 2, 4, 8);
  Matrix one;
  Matrix four;
  EXPECT_EQ(TsneObjective(similarities, 1).gradient(y, 1, one),
            TsneObjective(similarities, 4).gradient(y, 1, four));
  EXPECT_EQ(one, four);
}

TEST(Repulsion, SumsInAFixedOrder) {
  // Eight running sums, point j in sum j mod 8: whatever the processor's vectors hold.
  const Matrix points = test::random_points(61, 2, 2, 9);
  const Eigen::VectorXf x = points.col(0).cast<float>();
  const Eigen::VectorXf y = points.col(1).cast<float>();
  float sums[8][3] = {};
  for (int j = 0; j < 61; ++j) {
    const float dx = x(17) - x(j);
    const float dy = y(17) - y(j);
    const float xx = dx * dx;
    const float yy = dy * dy;
    const float w = 1.0F / (1.0F + (xx + yy));
    sums[j % 8][0] += w * w * dx;
    sums[j % 8][1] += w * w * dy;
    sums[j % 8][2] += w;
  }
  double total[3] = {};
  for (const auto& sum : sums) {
    for (int c = 0; c < 3; ++c) total[c] += static_cast<double>(sum[c]);
  }
  std::vector<Repulsion> found{repulsion(x.data(), y.data(), 61, 17),
                               repulsion_portable(x.data(), y.data(), 61, 17)};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    found.push_back(repulsion_avx2(x.data(), y.data(), 61, 17));
  }
#endif
  for (const Repulsion& r : found) {
    EXPECT_EQ(r.x, total[0]);
    EXPECT_EQ(r.y, total[1]);
    EXPECT_EQ(r.z, total[2] - 1);
  }
}

}  // namespace
}  // namespace moexray::stats
