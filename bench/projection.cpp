// Measures PCA and t-SNE on synthetic signatures of 16 layers × 64 experts.
//
//   projection [N_PROMPTS [FILE.npy]]
//
// FILE.npy receives the signatures, so that another program can be measured on the same numbers.

#include <fmt/core.h>
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>

#include "moexray/core/random.h"
#include "moexray/core/system.h"
#include "moexray/report/npy.h"
#include "moexray/stats/pca.h"
#include "moexray/stats/tsne.h"

namespace {

using moexray::stats::Matrix;

constexpr int n_layers = 16;
constexpr int n_experts = 64;
constexpr int n_categories = 8;

// Shares drawn around the taste of each prompt's category.
Matrix synthetic_signatures(int n) {
  moexray::RandomStream random(1);
  Matrix taste(n_categories, n_layers * n_experts);
  for (double& value : taste.reshaped()) value = 0.5 * random.normal();
  Matrix rows(n, n_layers * n_experts);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n_layers * n_experts; ++j) {
      rows(i, j) = std::exp(taste(i % n_categories, j) + random.normal());
    }
    for (int layer = 0; layer < n_layers; ++layer) {
      auto block = rows.row(i).segment(layer * n_experts, n_experts);
      block /= block.sum();
    }
  }
  return rows;
}

double seconds(const std::function<void()>& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double peak_gigabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  const int n = argc > 1 ? std::atoi(argv[1]) : 10'000;
  if (n < 4 || argc > 3) {
    fmt::print(stderr, "usage: projection [N_PROMPTS [FILE.npy]]\n");
    return 2;
  }
  const Matrix rows = synthetic_signatures(n);
  if (argc > 2) {
    moexray::report::write_npy(argv[2], {rows.data(), static_cast<std::size_t>(rows.size())},
                               static_cast<std::size_t>(n), static_cast<std::size_t>(rows.cols()));
  }
  fmt::print("{} prompts x {} values, {} threads\n", n, rows.cols(), moexray::available_threads());
  moexray::stats::PcaResult pca;
  const double pca_seconds = seconds([&] { pca = moexray::stats::pca(rows, {}); });
  fmt::print("pca            {:8.2f} s, peak memory {:.2f} GB\n", pca_seconds, peak_gigabytes());
  moexray::stats::TsneOptions options;
  options.n_threads = moexray::available_threads();
  moexray::stats::TsneResult tsne;
  double first_iteration = 0;
  const auto start = std::chrono::steady_clock::now();
  options.progress = [&](int n_done) {
    if (n_done > 1) return;
    first_iteration =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const double tsne_seconds = seconds([&] { tsne = moexray::stats::tsne(rows, options); });
  fmt::print("t-SNE          {:8.2f} s, peak memory {:.2f} GB\n", tsne_seconds, peak_gigabytes());
  fmt::print("  until the first step {:.2f} s\n", first_iteration);
  const double trust_seconds = seconds([&] {
    moexray::stats::trustworthiness(rows, tsne.embedding, tsne.n_trust_neighbors,
                                    options.n_threads);
  });
  fmt::print("  of it trustworthiness {:.2f} s\n", trust_seconds);
  fmt::print("  KL divergence {:.4f}, trustworthiness {:.4f}, {} iterations\n", tsne.kl_divergence,
             tsne.trustworthiness, tsne.n_iterations);
  return 0;
}
