// How far noise-corrected similarities lie from those of the rates that tokens were drawn by, for
// several numbers of experts and tokens. docs/statistics.md has the table.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/core/system.h"
#include "moexray/stats/noise_corrected.h"
#include "parallel.h"

namespace {

using namespace moexray;

struct World {
  int n_experts = 64;
  int top_k = 8;
  double spread = 0;  // standard deviation of the logarithms of the expert rates
  int n_tokens = 16;
};

constexpr int n_layers = 4;

// Two categories, whose prompts follow their category's rates exactly: the similarity within is 1.
stats::NoiseCorrectedResult corrected(const World& world, int n_prompts, int n_tokens,
                                      std::uint64_t seed) {
  RandomStream random(seed, "world");
  const int d = n_layers * world.n_experts;
  std::vector<std::vector<double>> rates(2);
  for (auto& of_category : rates) {
    for (int j = 0; j < d; ++j) of_category.push_back(world.spread * random.normal());
  }
  const RoutingShape shape{n_layers, world.n_experts, world.top_k};
  std::vector<stats::PromptLabel> labels;
  for (int i = 0; i < n_prompts; ++i) {
    labels.push_back({"p" + std::to_string(i), i % 2 == 0 ? "a" : "b"});
  }
  stats::SignatureAccumulator signatures(shape, labels, {});
  stats::TokenAccumulator tokens(shape, labels.size(), {});
  std::vector<std::pair<double, ExpertId>> order(static_cast<std::size_t>(world.n_experts));
  for (int i = 0; i < n_prompts; ++i) {
    for (int t = 0; t < n_tokens; ++t) {
      for (int layer = 0; layer < n_layers; ++layer) {
        for (int e = 0; e < world.n_experts; ++e) {
          const double gumbel = -std::log(-std::log(random.uniform() + 1e-300));
          const auto j = static_cast<std::size_t>(layer * world.n_experts + e);
          order[static_cast<std::size_t>(e)] = {
              -(rates[static_cast<std::size_t>(i % 2)][j] + gumbel), e};
        }
        std::partial_sort(order.begin(), order.begin() + world.top_k, order.end());
        std::vector<ExpertId> experts;
        for (int j = 0; j < world.top_k; ++j) {
          experts.push_back(order[static_cast<std::size_t>(j)].second);
        }
        RoutingRecord record;
        record.layer = layer;
        record.pos = t;
        record.token_id = i * n_tokens + t;
        record.experts = experts;
        signatures.add(static_cast<std::size_t>(i), record);
        tokens.add(static_cast<std::size_t>(i), record);
      }
    }
  }
  const stats::Signatures finished = std::move(signatures).finish();
  return stats::noise_corrected_similarity(std::move(tokens).finish(finished), finished,
                                           stats::index_categories(finished));
}

struct Excess {
  double within = 0;
  double across = 0;
  double error = 0;  // standard error of `within`
};

Excess excess_of(const World& world, int n_worlds, int n_prompts, std::uint64_t seed) {
  std::vector<Excess> found(static_cast<std::size_t>(n_worlds));
  stats::parallel_for(n_worlds, available_threads(), [&](int i) {
    const std::uint64_t own = RandomStream(seed, "world " + std::to_string(i))();
    const auto truth = corrected(world, 2, 20'000, own);
    const auto result = corrected(world, n_prompts, world.n_tokens, own);
    found[static_cast<std::size_t>(i)] = {result.within.mean - 1,
                                          result.across.mean - truth.across.mean, 0};
  });
  Excess mean;
  for (const Excess& one : found) {
    mean.within += one.within / n_worlds;
    mean.across += one.across / n_worlds;
  }
  for (const Excess& one : found) {
    mean.error += (one.within - mean.within) * (one.within - mean.within);
  }
  mean.error = std::sqrt(mean.error / n_worlds / std::max(1, n_worlds - 1));
  return mean;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 4) {
    fmt::print(stderr, "usage: noise_correction [WORLDS [PROMPTS [SEED]]]\n");
    return 2;
  }
  const auto integer = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  const int n_worlds = integer(1, 20);
  const int n_prompts = integer(2, 100);
  const auto seed = static_cast<std::uint64_t>(integer(3, 0));
  fmt::print("{} worlds of {} prompts; corrected − true: within, across (± error of within)\n",
             n_worlds, n_prompts);
  for (const int top_k : {2, 8}) {
    for (const int n_experts : {8, 16, 64}) {
      if (top_k >= n_experts) continue;
      for (const double spread : {0.0, 1.0}) {
        fmt::print("{:>2} of {:<2} spread {}: ", top_k, n_experts, spread);
        for (const int n_tokens : {16, 32, 64, 128}) {
          const World world{n_experts, top_k, spread, n_tokens};
          const Excess excess = excess_of(world, n_worlds, n_prompts, seed);
          fmt::print(" | T {} uniform {:.4f}: {:+.4f} {:+.4f} ± {:.4f}", n_tokens,
                     stats::uniform_excess(n_tokens, {n_layers, n_experts, top_k}), excess.within,
                     excess.across, excess.error);
        }
        fmt::print("\n");
        std::fflush(stdout);
      }
    }
  }
}
