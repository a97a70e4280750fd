#include "neighbors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "projection_cases.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

// The rows in order of their distance to row i, itself left out.
std::vector<std::int32_t> sorted_by_distance(const Matrix& rows, Eigen::Index i) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(rows.rows()));
  std::iota(order.begin(), order.end(), 0);
  order.erase(order.begin() + i);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return (rows.row(i) - rows.row(a)).squaredNorm() < (rows.row(i) - rows.row(b)).squaredNorm();
  });
  return order;
}

// Neighbours and ranks against a plain sort of all distances.
void expect_exact(const Matrix& rows, int k) {
  const Neighbors found = nearest_neighbors(rows, k, {});
  const std::vector<std::int32_t> ranks = neighbor_ranks(rows, found.indices, k, {});
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    const std::vector<std::int32_t> order = sorted_by_distance(rows, i);
    for (int r = 0; r < k; ++r) {
      const auto entry = static_cast<std::size_t>(i * k + r);
      ASSERT_EQ(found.indices[entry], order[static_cast<std::size_t>(r)]) << "row " << i;
      EXPECT_EQ(found.squared_distances[entry],
                (rows.row(i) - rows.row(found.indices[entry])).squaredNorm());
      ASSERT_EQ(ranks[entry], r);
    }
  }
}

TEST(NearestNeighbors, EqualAPlainSort) {
  expect_exact(test::random_points(300, 20, 4, 1), 17);
  expect_exact(test::random_points(60, 3, 1, 2), 59);
  expect_exact(test::random_points(2, 5, 1, 2), 1);
}

TEST(NearestNeighbors, AreExactWhereSinglePrecisionCannotTell) {
  // Clusters far apart and as small as single precision's steps: inside them the filter sees noise.
  Matrix rows = test::random_points(200, 8, 1, 3);
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    rows.row(i) *= 1e-6;
    rows.row(i).array() += static_cast<double>(i % 4);
  }
  expect_exact(rows, 9);
  expect_exact(rows, 120);
  rows *= 1e-200;  // its squares would underflow in single precision
  rows.array() += 1;
  expect_exact(Matrix(rows * 1e30), 9);
}

TEST(NearestNeighbors, OfEqualRowsAreThoseOfLowerIndex) {
  Matrix rows = test::random_points(50, 4, 2, 4);
  for (Eigen::Index i = 10; i < 40; ++i) rows.row(i) = rows.row(3);
  expect_exact(rows, 12);
  expect_exact(Matrix::Constant(9, 2, 0.1), 8);
}

TEST(NearestNeighbors, DoNotDependOnThreads) {
  const Matrix rows = test::random_points(700, 12, 5, 5);
  const Neighbors one = nearest_neighbors(rows, 30, {.n_threads = 1});
  const Neighbors four = nearest_neighbors(rows, 30, {.n_threads = 4});
  EXPECT_EQ(one.indices, four.indices);
  EXPECT_EQ(one.squared_distances, four.squared_distances);
}

TEST(NeighborRanks, OfDistantRows) {
  const Matrix rows = test::random_points(80, 6, 3, 6);
  std::vector<std::int32_t> others;
  for (std::int32_t i = 0; i < 80; ++i) {
    others.push_back((i + 1) % 80);
    others.push_back((i + 37) % 80);
  }
  const std::vector<std::int32_t> ranks = neighbor_ranks(rows, others, 2, {});
  for (std::size_t entry = 0; entry < others.size(); ++entry) {
    const auto order = sorted_by_distance(rows, static_cast<Eigen::Index>(entry / 2));
    EXPECT_EQ(order[static_cast<std::size_t>(ranks[entry])], others[entry]);
  }
}

TEST(NearestNeighbors, CanBeStopped) {
  const std::atomic<bool> stop{true};
  test::expect_error(ErrorKind::interrupted, "interrupted", [&] {
    nearest_neighbors(test::random_points(10, 2, 1, 7), 3, {.stop = &stop});
  });
}

}  // namespace
}  // namespace moexray::stats
