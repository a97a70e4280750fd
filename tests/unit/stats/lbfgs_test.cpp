#include "lbfgs.h"

#include <gtest/gtest.h>

#include <cmath>

namespace moexray::stats {
namespace {

TEST(Lbfgs, FindsTheMinimumOfAnIllConditionedQuadratic) {
  const Eigen::Index n = 50;
  Vector scale(n);
  Vector target(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    scale(i) = std::pow(10.0, 5.0 * static_cast<double>(i) / (n - 1));
    target(i) = std::sin(static_cast<double>(i));
  }
  Vector x = Vector::Zero(n);
  const LbfgsResult result = minimize_lbfgs(
      [&](const Vector& at, Vector& gradient) {
        gradient = scale.cwiseProduct(at - target);
        return 0.5 * gradient.dot(at - target);
      },
      x, {.tolerance = 1e-10});
  EXPECT_TRUE(result.converged);
  EXPECT_LE(result.gradient_norm, 1e-10 * std::max(1.0, x.norm()));
  EXPECT_LT((x - target).norm(), 1e-9);
}

TEST(Lbfgs, ConvergesWhereTheDecreaseDrownsInRounding) {
  // A large constant hides every decrease below 1e-4.
  Vector x = Vector::Constant(3, 2.0);
  const LbfgsResult result = minimize_lbfgs(
      [](const Vector& at, Vector& gradient) {
        gradient = at.array().exp().matrix() - Vector::Ones(3);
        return 1e12 + at.array().exp().sum() - at.sum();
      },
      x, {.tolerance = 1e-10});
  EXPECT_TRUE(result.converged);
  EXPECT_LT(x.norm(), 1e-9);
}

TEST(Lbfgs, ReportsThatItDidNotConverge) {
  Vector x = Vector::Constant(2, 3.0);
  const Objective slope = [](const Vector& at, Vector& gradient) {
    gradient = Vector::Ones(2);  // a plane has no minimum
    return at.sum();
  };
  EXPECT_FALSE(minimize_lbfgs(slope, x, {.max_iterations = 30}).converged);
  const Objective broken = [](const Vector&, Vector& gradient) {
    gradient = Vector::Constant(2, std::nan(""));
    return std::nan("");
  };
  EXPECT_FALSE(minimize_lbfgs(broken, x, {}).converged);
}

}  // namespace
}  // namespace moexray::stats
