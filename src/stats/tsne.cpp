#include "moexray/stats/tsne.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "centred_features.h"
#include "moexray/core/error.h"
#include "moexray/core/random.h"
#include "moexray/stats/pca.h"
#include "neighbors.h"
#include "tsne_objective.h"

namespace moexray::stats {
namespace {

constexpr double start_deviation = 1e-4;
constexpr double early_exaggeration = 12;
constexpr int n_exaggerated = 250;
constexpr int check_every = 50;
constexpr int max_without_progress = 300;
constexpr double min_gradient_norm = 1e-7;
constexpr double min_gain = 0.01;

double deviation(const Matrix& points, Eigen::Index column) {
  return std::sqrt((points.col(column).array() - points.col(column).mean()).square().mean());
}

// Where the points start. A second coordinate that is 0 everywhere would stay 0: the gradient along
// it vanishes. Small random numbers take its place.
Matrix start_points(Matrix scores, std::uint64_t seed, std::vector<std::string>& notices) {
  const double scale = deviation(scores, 0);
  if (scale > 0) scores *= start_deviation / scale;
  if (deviation(scores, 1) <= 1e-8 * start_deviation) {
    notices.emplace_back(
        "the features vary along one direction only: t-SNE starts with random "
        "second coordinates");
    RandomStream random(seed, "t-SNE");
    for (double& value : scores.col(1)) value = start_deviation * random.normal();
  }
  return scores;
}

// Gradient descent with momentum and gains.
class Descent {
 public:
  Descent(const TsneObjective& objective, const TsneOptions& options, Matrix start)
      : objective_(objective),
        options_(options),
        learning_rate_(
            std::max(static_cast<double>(start.rows()) / (4 * early_exaggeration), 50.0)),
        points_(std::move(start)) {}

  const Matrix& points() const { return points_; }
  // Those of least divergence that `run` looked at; empty if it looked at none.
  const Matrix& best_points() const { return best_points_; }
  int n_done() const { return n_done_; }

  // Iterates until `n_end` are done in all, or, if `may_end`, the divergence stalls.
  void run(int n_end, double exaggeration, double momentum, bool may_end) {
    Matrix step = Matrix::Zero(points_.rows(), 2);
    Matrix gains = Matrix::Ones(points_.rows(), 2);
    Matrix gradient;
    double best = std::numeric_limits<double>::infinity();
    int best_iteration = n_done_;
    while (n_done_ < n_end) {
      if (options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed)) {
        throw Error(ErrorKind::interrupted, "interrupted");
      }
      const double z = objective_.gradient(points_, exaggeration, gradient);
      ++n_done_;
      const bool check = n_done_ % check_every == 0;
      const double divergence = check && may_end ? objective_.divergence(points_, z) : 0;
      if (check && may_end && divergence < best) best_points_ = points_;
      gains = (step.array() * gradient.array() < 0)
                  .select(gains.array() + 0.2, gains.array() * 0.8)
                  .max(min_gain);
      gradient.array() *= gains.array();
      step = momentum * step - learning_rate_ * gradient;
      points_ += step;
      if (options_.progress) options_.progress(n_done_);
      if (!check) continue;
      if (gradient.norm() <= min_gradient_norm) return;
      if (!may_end) continue;
      if (divergence < best) {
        best = divergence;
        best_iteration = n_done_;
      } else if (n_done_ - best_iteration > max_without_progress) {
        return;
      }
    }
  }

 private:
  const TsneObjective& objective_;
  const TsneOptions& options_;
  double learning_rate_;
  Matrix points_;       // [n, 2]
  Matrix best_points_;  // [n, 2]
  int n_done_ = 0;
};

void check_size(Eigen::Index n) {
  if (n >= 4 && n <= max_tsne_rows) return;
  throw Error(ErrorKind::data,
              {"t-SNE", {}, fmt::format("4 to {} prompts", max_tsne_rows), std::to_string(n)});
}

double choose_perplexity(double wanted, Eigen::Index n, std::vector<std::string>& notices) {
  if (3 * wanted < static_cast<double>(n)) return wanted;
  const double perplexity = static_cast<double>(n - 1) / 3;
  notices.push_back(fmt::format("t-SNE: perplexity lowered from {:g} to {:.4g}: {} prompts are few",
                                wanted, perplexity, n));
  return perplexity;
}

}  // namespace

TsneResult tsne(const Matrix& rows, const TsneOptions& options) {
  const Eigen::Index n = rows.rows();
  check_size(n);
  if (options.start.size() > 0 && (options.start.rows() != n || options.start.cols() != 2)) {
    throw Error(ErrorKind::data, "t-SNE: the start must have two coordinates for every row");
  }
  const Matrix features = centred_features(rows, options.standardize);
  TsneResult result;
  result.perplexity = choose_perplexity(options.perplexity, n, result.notices);
  if (features.squaredNorm() == 0) {
    result.embedding = Matrix::Zero(n, 2);
    result.notices.emplace_back("t-SNE: all signatures are equal, and all points coincide");
    return result;
  }
  const SearchOptions search{.n_threads = options.n_threads, .stop = options.stop};
  const int k = std::min(static_cast<int>(n) - 1, static_cast<int>(3 * result.perplexity + 1));
  const InputSimilarities similarities =
      input_similarities(nearest_neighbors(features, k, search), result.perplexity);
  const TsneObjective objective(similarities, options.n_threads);
  Matrix scores = options.start.size() > 0 ? options.start
                                           : pca(rows, {.standardize = options.standardize}).scores;
  Descent descent(objective, options,
                  start_points(std::move(scores), options.seed, result.notices));
  const int n_first = std::min(n_exaggerated, options.max_iterations);
  descent.run(n_first, early_exaggeration, 0.5, false);
  descent.run(options.max_iterations, 1, 0.8, true);
  result.n_iterations = descent.n_done();
  // With few points the steps are large and the divergence goes up and down.
  result.kl_divergence = std::numeric_limits<double>::infinity();
  for (const Matrix* points : {&descent.points(), &descent.best_points()}) {
    if (points->size() == 0) continue;
    const double divergence = objective.divergence(*points, objective.normalizer(*points));
    if (divergence >= result.kl_divergence) continue;
    result.kl_divergence = divergence;
    result.embedding = *points;
  }
  constexpr int default_trust_neighbors = 5;
  result.n_trust_neighbors = std::min(default_trust_neighbors, (static_cast<int>(n) - 1) / 2);
  result.trustworthiness = trustworthiness(features, result.embedding, result.n_trust_neighbors,
                                           options.n_threads, options.stop);
  return result;
}

double trustworthiness(const Matrix& rows, const Matrix& embedding, int k, int n_threads,
                       const std::atomic<bool>* stop) {
  const SearchOptions search{.n_threads = n_threads, .stop = stop};
  const Neighbors shown = nearest_neighbors(embedding, k, search);
  double penalty = 0;
  for (const std::int32_t n_nearer : neighbor_ranks(rows, shown.indices, k, search)) {
    penalty += std::max(0, n_nearer + 1 - k);
  }
  const auto n = static_cast<double>(rows.rows());
  return 1 - penalty * 2 / (n * k * (2 * n - 3 * k - 1));
}

}  // namespace moexray::stats
