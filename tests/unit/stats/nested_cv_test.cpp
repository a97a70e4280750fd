#include "moexray/stats/nested_cv.h"

#include <gtest/gtest.h>

#include <cmath>

#include "moexray/core/random.h"
#include "stats_support.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

using test::mean_of;
using test::variance_of;

constexpr int n_folds = 4;

Units single_units(int n) {
  std::vector<std::string> ids;
  CategoryIndex categories{{"a"}, std::vector<int>(static_cast<std::size_t>(n)), {n}};
  for (int i = 0; i < n; ++i) ids.push_back("p" + std::to_string(i));
  return make_units(ids, categories);
}

// Errors of a made-up learner: prompts are hard or easy, models good or bad.
std::vector<NestedLosses> random_losses(int n, int n_repetitions, double model_effect,
                                        std::uint64_t seed) {
  RandomStream random(seed);
  Vector hard(n);
  for (double& h : hard) h = random.normal();
  std::vector<NestedLosses> result;
  for (int r = 0; r < n_repetitions; ++r) {
    NestedLosses l{{}, Vector(n), Matrix::Zero(n, n_folds)};
    for (int i = 0; i < n; ++i) l.folds.push_back((i + r) % n_folds);
    Matrix model(n_folds, n_folds);
    for (Eigen::Index i = 0; i < model.size(); ++i)
      model.data()[i] = model_effect * random.normal();
    for (int i = 0; i < n; ++i) {
      const int own = l.folds[static_cast<std::size_t>(i)];
      l.outer(i) = hard(i) + model(own, own) + 0.1 * random.normal() > 0.5;
      for (int f = 0; f < n_folds; ++f) {
        const double shared = model(std::min(own, f), std::max(own, f));
        if (f != own) l.inner(i, f) = hard(i) + shared + 0.1 * random.normal() > 0.4;
      }
    }
    result.push_back(std::move(l));
  }
  return result;
}

// The algorithm as the paper writes it down, prompts being the units, but for the bias, which is
// taken out of the mean squared error.
NestedInterval plain_interval(const std::vector<NestedLosses>& repetitions, int n) {
  std::vector<double> a_list, b_list, all_inner, all_outer, spreads;
  for (const NestedLosses& r : repetitions) {
    for (int k = 0; k < n_folds; ++k) {
      std::vector<double> e_in, e_out;
      for (int i = 0; i < n; ++i) {
        if (r.folds[static_cast<std::size_t>(i)] == k) {
          e_out.push_back(r.outer(i));
        } else {
          e_in.push_back(r.inner(i, k));
        }
      }
      a_list.push_back(std::pow(mean_of(e_in) - mean_of(e_out), 2));
      b_list.push_back(variance_of(e_out) / static_cast<double>(e_out.size()));
      all_inner.insert(all_inner.end(), e_in.begin(), e_in.end());
      all_outer.insert(all_outer.end(), e_out.begin(), e_out.end());
      spreads.push_back(variance_of(e_in));
    }
  }
  const double k = n_folds;
  NestedInterval result;
  result.cv_mean = mean_of(all_outer);
  const double bias = (mean_of(all_inner) - mean_of(all_outer)) * (1 + (k - 2) / k);
  result.estimate = mean_of(all_inner) - bias;
  const double mse =
      mean_of(a_list) - mean_of(b_list) - std::pow(mean_of(all_inner) - mean_of(all_outer), 2);
  const double s = std::sqrt(mean_of(spreads));
  const double n_sub = n * (k - 1) / k;
  result.inflation = std::sqrt(std::max(mse, 0.0)) / (s / std::sqrt(n_sub));
  result.inflation = std::min(std::max(result.inflation, 1.0), std::sqrt(k));
  result.standard_error = s / std::sqrt(static_cast<double>(n)) * result.inflation;
  return result;
}

TEST(NestedCv, IsThePlainAlgorithm) {
  for (const double model_effect : {0.0, 0.3, 2.0}) {
    const auto losses = random_losses(32, 30, model_effect, 7);
    const NestedInterval expected = plain_interval(losses, 32);
    const NestedInterval found = nested_interval(losses, single_units(32), n_folds);
    EXPECT_NEAR(found.cv_mean, expected.cv_mean, 1e-12);
    EXPECT_NEAR(found.estimate, expected.estimate, 1e-12);
    EXPECT_NEAR(found.inflation, expected.inflation, 1e-10);
    EXPECT_NEAR(found.standard_error, expected.standard_error, 1e-12);
    EXPECT_NEAR(found.ci95[0], expected.estimate - 1.959964 * expected.standard_error, 1e-7);
    EXPECT_NEAR(found.ci95[1], expected.estimate + 1.959964 * expected.standard_error, 1e-7);
  }
}

TEST(NestedCv, StaysBetweenTheNaiveBounds) {
  // Half of every fold is wrong, whatever the model.
  NestedLosses even{{}, Vector(32), Matrix(32, n_folds)};
  for (int i = 0; i < 32; ++i) {
    even.folds.push_back(i % n_folds);
    even.outer(i) = i / n_folds % 2;
    even.inner.row(i).setConstant(even.outer(i));
  }
  EXPECT_EQ(nested_interval(std::vector{even}, single_units(32), n_folds).inflation, 1);
  EXPECT_NEAR(nested_interval(random_losses(32, 30, 9, 7), single_units(32), n_folds).inflation,
              std::sqrt(n_folds), 1e-12);
}

TEST(NestedCv, CopiesOfAPromptInOneUnitAddNothing) {
  // Every prompt twice, in one group and one fold: the interval of the single prompts.
  const auto single = random_losses(32, 20, 0.3, 9);
  std::vector<NestedLosses> twice;
  std::vector<std::string> ids, groups;
  for (int i = 0; i < 64; ++i) {
    ids.push_back("p" + std::to_string(i));
    groups.push_back("g" + std::to_string(i / 2));
  }
  for (const NestedLosses& l : single) {
    NestedLosses copy{std::vector<int>(64), Vector(64), Matrix(64, n_folds)};
    for (int i = 0; i < 64; ++i) {
      copy.folds[static_cast<std::size_t>(i)] = l.folds[static_cast<std::size_t>(i / 2)];
      copy.outer(i) = l.outer(i / 2);
      copy.inner.row(i) = l.inner.row(i / 2);
    }
    twice.push_back(std::move(copy));
  }
  const CategoryIndex categories{{"a"}, std::vector<int>(64), {64}};
  const NestedInterval a = nested_interval(single, single_units(32), n_folds);
  const NestedInterval b = nested_interval(twice, make_units(ids, categories, groups), n_folds);
  EXPECT_NEAR(a.estimate, b.estimate, 1e-12);
  EXPECT_NEAR(a.standard_error, b.standard_error, 1e-12);
}

TEST(NestedCv, DifferencesArePaired) {
  const auto a = random_losses(32, 20, 0.3, 9);
  auto b = a;
  for (NestedLosses& l : b) l.outer.array() += 0.25, l.inner.array() += 0.25;
  const NestedInterval same = nested_interval(loss_differences(a, a), single_units(32), n_folds);
  EXPECT_EQ(same.cv_mean, 0);
  EXPECT_TRUE(std::isnan(same.ci95[0]));
  const NestedInterval apart = nested_interval(loss_differences(b, a), single_units(32), n_folds);
  EXPECT_NEAR(apart.cv_mean, 0.25, 1e-12);
  auto other = a;
  std::swap(other[0].folds[0], other[0].folds[1]);
  test::expect_error(ErrorKind::data, "different folds", [&] { loss_differences(a, other); });
}

TEST(NestedCv, RefusesWhatDoesNotFit) {
  const auto losses = random_losses(32, 2, 0.3, 9);
  test::expect_error(ErrorKind::data, "nested cross-validation",
                     [&] { nested_interval({}, single_units(32), n_folds); });
  test::expect_error(ErrorKind::data, "nested cross-validation",
                     [&] { nested_interval(losses, single_units(31), n_folds); });
  test::expect_error(ErrorKind::data, "at least 3 folds",
                     [&] { nested_interval(losses, single_units(32), 2); });
}

}  // namespace
}  // namespace moexray::stats
