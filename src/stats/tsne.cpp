#include "moexray/stats/tsne.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "centred_features.h"
#include "moexray/core/error.h"
#include "moexray/core/random.h"
#include "moexray/core/wording.h"
#include "moexray/stats/pca.h"
#include "neighbors.h"
#include "parallel.h"
#include "tsne_objective.h"

namespace moexray::stats {
namespace {

constexpr Eigen::Index max_all_pairs = 1000;
constexpr double start_deviation = 1e-4;
constexpr double start_noise = 1e-6;
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

// Points of the plane and what is known of them.
struct TsneEmbedding {
  Matrix points;  // [n, 2]
  double kl_divergence = std::numeric_limits<double>::infinity();
  int n_iterations = 0;
};

// Gradient descent with momentum and gains.
class Descent {
 public:
  // @param n_before iterations of earlier descents, for those who are told of progress
  Descent(const TsneObjective& objective, const TsneOptions& options, Matrix start, int n_before)
      : objective_(objective),
        options_(options),
        n_before_(n_before),
        learning_rate_(
            std::max(static_cast<double>(start.rows()) / (4 * early_exaggeration), 50.0)),
        points_(std::move(start)) {}

  // Iterates until `n_end` are done in all, or the gradient vanishes, or, if `look`, the divergence
  // stalls.
  void run(int n_end, double exaggeration, double momentum, bool look) {
    Matrix step = Matrix::Zero(points_.rows(), 2);
    Matrix gains = Matrix::Ones(points_.rows(), 2);
    Matrix gradient;
    int best_iteration = n_done_;
    while (n_done_ < n_end) {
      throw_if_stopped(options_.stop);
      const double z = objective_.gradient(points_, exaggeration, gradient);
      ++n_done_;
      const bool check = n_done_ % check_every == 0;
      if (check && look && keep_if_best(objective_.divergence(points_, z))) {
        best_iteration = n_done_;
      }
      gains = (step.array() * gradient.array() < 0)
                  .select(gains.array() + 0.2, gains.array() * 0.8)
                  .max(min_gain);
      gradient.array() *= gains.array();
      step = momentum * step - learning_rate_ * gradient;
      points_ += step;
      if (options_.progress) options_.progress(n_before_ + n_done_);
      if (check && gradient.norm() <= min_gradient_norm) return;
      if (check && look && n_done_ - best_iteration > max_without_progress) return;
    }
  }

  // The points of least divergence that were looked at, the last ones among them: with few points
  // steps are large, and the divergence goes up and down.
  TsneEmbedding finish() && {
    keep_if_best(objective_.divergence(points_, objective_.normalizer(points_)));
    best_.n_iterations = n_done_;
    best_.kl_divergence = objective_.divergence(best_.points, objective_.normalizer(best_.points));
    return std::move(best_);
  }

 private:
  bool keep_if_best(double divergence) {
    if (divergence >= best_.kl_divergence) return false;
    best_.kl_divergence = divergence;
    best_.points = points_;
    return true;
  }

  const TsneObjective& objective_;
  const TsneOptions& options_;
  int n_before_;
  double learning_rate_;
  Matrix points_;  // [n, 2]
  TsneEmbedding best_;
  int n_done_ = 0;
};

// The best of several descents, the later ones from slightly different starts.
TsneEmbedding best_descent(const TsneObjective& objective, const TsneOptions& options,
                           const Matrix& start) {
  RandomStream random(options.seed, "t-SNE starts");
  TsneEmbedding best;
  const int n_first = std::min(n_exaggerated, options.max_iterations);
  for (int d = 0; d < tsne_descents(start.rows()); ++d) {
    Matrix points = start;
    if (d > 0) {
      for (double& value : points.reshaped()) value += start_noise * random.normal();
    }
    Descent descent(objective, options, std::move(points), d * options.max_iterations);
    descent.run(n_first, early_exaggeration, 0.5, false);
    descent.run(options.max_iterations, 1, 0.8, true);
    TsneEmbedding found = std::move(descent).finish();
    if (found.kl_divergence < best.kl_divergence) best = std::move(found);
  }
  return best;
}

void check_size(Eigen::Index n) {
  if (n >= 4 && n <= max_tsne_rows) return;
  throw Error(ErrorKind::data,
              fmt::format("{}: t-SNE needs 4 to {}",
                          n == 1 ? "only one prompt" : counted(n, "prompt"), max_tsne_rows));
}

double choose_perplexity(double wanted, Eigen::Index n, std::vector<std::string>& notices) {
  if (3 * wanted < static_cast<double>(n)) return wanted;
  const double perplexity = static_cast<double>(n - 1) / 3;
  notices.push_back(fmt::format("{}: perplexity of t-SNE lowered from {:g} to {:.4g}",
                                counted(n, "prompt"), wanted, perplexity));
  return perplexity;
}

int n_neighbors(Eigen::Index n, double perplexity) {
  const int others = static_cast<int>(n) - 1;
  if (n <= max_all_pairs) return others;
  return std::min(others, static_cast<int>(3 * perplexity + 1));
}

}  // namespace

int tsne_descents(Eigen::Index n_rows) { return n_rows <= 500 ? 5 : 1; }

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
  const InputSimilarities similarities = input_similarities(
      nearest_neighbors(features, n_neighbors(n, result.perplexity), search), result.perplexity);
  const TsneObjective objective(similarities, options.n_threads);
  Matrix scores = options.start.size() > 0 ? options.start
                                           : pca(rows, {.standardize = options.standardize}).scores;
  const Matrix start = start_points(std::move(scores), options.seed, result.notices);
  TsneEmbedding best = best_descent(objective, options, start);
  result.embedding = std::move(best.points);
  result.kl_divergence = best.kl_divergence;
  result.n_iterations = best.n_iterations;
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
