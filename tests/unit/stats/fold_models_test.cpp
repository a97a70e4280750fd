#include "fold_models.h"

#include <gtest/gtest.h>

#include <cmath>

#include "moexray/stats/folds.h"
#include "moexray/stats/logistic.h"
#include "stats_support.h"

namespace moexray::stats {
namespace {

struct World {
  Signatures signatures;
  CategoryIndex categories;
  std::vector<int> folds;
  FeatureMaker features;
};

World world(double effect, int n_folds = 5) {
  World w;
  w.signatures =
      test::random_signatures(test::mixed_categories({10, 10, 10}, 1), 3, {.effect = effect});
  w.categories = index_categories(w.signatures);
  w.folds = stratified_folds(w.signatures.ids, w.categories, n_folds, 2);
  w.features = [values = w.signatures.values](const SplitRows& rows) {
    std::vector<Eigen::Index> order = rows.train;
    order.insert(order.end(), rows.test.begin(), rows.test.end());
    return FeatureBlocks{{values(order, Eigen::all), true}};
  };
  return w;
}

// Probabilities of the rows in `test` by a model of the rows in `train`, the plain way.
Matrix plain_probabilities(const World& w, const SplitRows& rows, double c, double factor) {
  const Matrix train = w.signatures.values(rows.train, Eigen::all);
  const Standardizer standardizer(train);
  Matrix x = standardizer.apply(train);
  const double size = std::sqrt(x.squaredNorm() / static_cast<double>(x.rows()));
  x /= size;
  std::vector<int> classes;
  for (const auto row : rows.train) {
    classes.push_back(w.categories.of_prompt[static_cast<std::size_t>(row)]);
  }
  const LogisticModel model = fit_logistic(x, classes, 3, {.c = c});
  const Matrix test = w.signatures.values(rows.test, Eigen::all);
  Matrix scores = (standardizer.apply(test) / size) * model.coefficients.transpose();
  scores.rowwise() += model.intercepts.transpose();
  Matrix e = (factor * scores).array().exp();
  for (Eigen::Index i = 0; i < e.rows(); ++i) e.row(i) /= e.row(i).sum();
  return e;
}

// −Σ log p over the folds outside `left_out`, each predicted without itself.
double plain_inner_loss(const World& w, FoldSet left_out, int n_folds, double c, double factor) {
  double loss = 0;
  for (int fold = 0; fold < n_folds; ++fold) {
    if ((left_out >> fold & 1) != 0) continue;
    SplitRows rows = split_rows(w.folds, left_out | FoldSet{1} << fold);
    std::erase_if(rows.test,
                  [&](Eigen::Index row) { return w.folds[static_cast<std::size_t>(row)] != fold; });
    const Matrix p = plain_probabilities(w, rows, c, factor);
    for (std::size_t i = 0; i < rows.test.size(); ++i) {
      const int label = w.categories.of_prompt[static_cast<std::size_t>(rows.test[i])];
      loss -= std::log(p(static_cast<Eigen::Index>(i), label));
    }
  }
  return loss;
}

TEST(FoldModels, ChooseThePenaltyInsideTheTrainingFolds) {
  for (const double effect : {0.2, 1.0}) {
    const World w = world(effect);
    const PipelineOptions options{.grid = {0.1, 3, 100}, .unit_size = true, .tolerance = 1e-8};
    FoldModels models(w.features, w.categories.of_prompt, 3, w.folds, 5, options);
    for (const FoldSet left_out : {FoldSet{0b00001}, FoldSet{0b10010}}) {
      double best = 0;
      double best_loss = 1e300;
      for (const double c : options.grid) {
        const double loss = plain_inner_loss(w, left_out, 5, c, 1);
        if (loss < best_loss) best_loss = loss, best = c;
      }
      const SplitRows rows = split_rows(w.folds, left_out);
      const Matrix expected = plain_probabilities(w, rows, best, 1);
      const HeldOut found = models.predict(left_out);
      EXPECT_EQ(found.rows, rows.test);
      EXPECT_LT((found.probabilities - expected).cwiseAbs().maxCoeff(), 1e-5);
    }
  }
}

TEST(FoldModels, CalibrateInsideTheTrainingFoldsAndMixThePrior) {
  const World w = world(0.4);
  const PipelineOptions options{
      .grid = {100}, .unit_size = true, .calibrate = true, .prior_share = 0.01, .tolerance = 1e-8};
  FoldModels models(w.features, w.categories.of_prompt, 3, w.folds, 5, options);
  const FoldSet left_out = 0b00100;
  double best = 0;
  double best_loss = 1e300;
  for (double log_factor = std::log(0.05); log_factor < std::log(20.0); log_factor += 0.005) {
    const double loss = plain_inner_loss(w, left_out, 5, 100, std::exp(log_factor));
    if (loss < best_loss) best_loss = loss, best = std::exp(log_factor);
  }
  EXPECT_LT(best, 1);  // so little a penalty makes the model too sure
  const SplitRows rows = split_rows(w.folds, left_out);
  const Matrix expected = (0.99 * plain_probabilities(w, rows, 100, best)).array() + 0.01 / 3;
  EXPECT_LT((models.predict(left_out).probabilities - expected).cwiseAbs().maxCoeff(), 5e-3);
}

TEST(FoldModels, LossesAreThoseOfTheModelsWithoutTheFolds) {
  const World w = world(0.5);
  const PipelineOptions options{.grid = {1}, .tolerance = 1e-8};
  FoldModels models(w.features, w.categories.of_prompt, 3, w.folds, 5, options);
  constexpr std::array losses = {&error_loss, &log_loss_bits};
  const auto found = nested_losses(models, w.categories.of_prompt, w.folds, 5, losses);
  FoldModels again(w.features, w.categories.of_prompt, 3, w.folds, 5, options);
  for (int a = 0; a < 5; ++a) {
    for (int b = 0; b < 5; ++b) {
      const FoldSet left_out = FoldSet{1} << a | FoldSet{1} << b;
      const HeldOut held_out = again.predict(left_out);
      for (std::size_t i = 0; i < held_out.rows.size(); ++i) {
        const auto row = held_out.rows[i];
        if (w.folds[static_cast<std::size_t>(row)] != a) continue;
        const auto p = held_out.probabilities.row(static_cast<Eigen::Index>(i));
        const int label = w.categories.of_prompt[static_cast<std::size_t>(row)];
        Eigen::Index best = 0;
        p.maxCoeff(&best);
        EXPECT_EQ(a == b ? found[0].outer(row) : found[0].inner(row, b), best != label);
        EXPECT_NEAR(a == b ? found[1].outer(row) : found[1].inner(row, b), -std::log2(p(label)),
                    1e-9);
      }
    }
  }
}

TEST(FoldModels, SharedCoordinatesChangeNothing) {
  const World w = world(0.5);
  const PipelineOptions options{.grid = {0.1, 10}, .unit_size = true};
  const CoordinateStore shared = shared_coordinates(w.features, w.folds, 5, options, 2);
  EXPECT_EQ(shared.size(), 15U);
  FoldModels own(w.features, w.categories.of_prompt, 3, w.folds, 5, options);
  FoldModels sharing(w.features, w.categories.of_prompt, 3, w.folds, 5, options, &shared);
  for (int fold = 0; fold < 5; ++fold) {
    EXPECT_EQ(own.predict(FoldSet{1} << fold).probabilities,
              sharing.predict(FoldSet{1} << fold).probabilities);
  }
}

TEST(FoldModels, ACategoryThatWasNotTrainedHasNoProbability) {
  const World w = world(0.5);
  std::vector<int> folds(w.folds.size());
  for (std::size_t i = 0; i < folds.size(); ++i) {
    folds[i] = w.categories.of_prompt[i] == 2 ? 0 : static_cast<int>(1 + i % 3);
  }
  const PipelineOptions options{.grid = {1, 10}, .unit_size = true};
  FoldModels models(w.features, w.categories.of_prompt, 3, folds, 4, options);
  EXPECT_EQ(models.predict(1).probabilities.col(2).maxCoeff(), 0);
}

}  // namespace
}  // namespace moexray::stats
