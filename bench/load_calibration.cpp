// Whether load() says rightly what uniform routing and clusters alone give: worlds whose experts
// are all popular alike, so that whatever imbalance there is comes from few tokens and few prompts.
// docs/statistics.md has the table.
#include <fmt/core.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "expert_cases.h"
#include "moexray/core/system.h"
#include "moexray/stats/load.h"
#include "parallel.h"

namespace {

using namespace moexray;
using namespace moexray::bench;

struct LoadOutcome {
  double cv = 0;  // mean over layers
  double uniform = 0;
  double clusters = 0;
  double n_beyond_uniform = 0;  // layers whose CV lies beyond limit95
  double n_beyond_clusters = 0;
};

LoadOutcome outcome_of(const ExpertWorldOptions& options, std::uint64_t seed, int i) {
  const std::uint64_t own = RandomStream(seed, "data set " + std::to_string(i))();
  const ExpertWorld world = expert_world(options, own);
  const stats::LoadResult result =
      stats::load(world.signatures, {}, world.tokens, nullptr, {.n_draws = 199, .seed = own});
  LoadOutcome outcome;
  const auto n_layers = static_cast<double>(result.layers.size());
  for (const stats::LayerBalance& layer : result.layers) {
    outcome.cv += layer.load.cv / n_layers;
    outcome.uniform += layer.uniform.mean.cv / n_layers;
    outcome.clusters += layer.clusters.mean.cv / n_layers;
    outcome.n_beyond_uniform += layer.load.cv > layer.uniform.limit95.cv ? 1 : 0;
    outcome.n_beyond_clusters += layer.load.cv > layer.clusters.limit95.cv ? 1 : 0;
  }
  return outcome;
}

void print_row(const std::string& name, const std::vector<LoadOutcome>& outcomes, int n_layers) {
  LoadOutcome sum;
  for (const LoadOutcome& one : outcomes) {
    sum.cv += one.cv;
    sum.uniform += one.uniform;
    sum.clusters += one.clusters;
    sum.n_beyond_uniform += one.n_beyond_uniform;
    sum.n_beyond_clusters += one.n_beyond_clusters;
  }
  const auto n = static_cast<double>(outcomes.size());
  const double n_cells = n * n_layers;
  const auto percent = [&](double count) {
    const double p = count / n_cells;
    return fmt::format("{:.1f} ± {:.1f}", 100 * p, 100 * std::sqrt(p * (1 - p) / n_cells));
  };
  fmt::print("{:<44} {:>8.3f} {:>8.3f} {:>9.3f} {:>14} {:>14}\n", name, sum.cv / n, sum.uniform / n,
             sum.clusters / n, percent(sum.n_beyond_uniform), percent(sum.n_beyond_clusters));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 3) {
    fmt::print(stderr, "usage: load_calibration [DATA_SETS [SEED]]\n");
    return 2;
  }
  const int n_sets = argc > 1 ? std::atoi(argv[1]) : 400;
  const auto seed = static_cast<std::uint64_t>(argc > 2 ? std::atoi(argv[2]) : 1);
  fmt::print("{} data sets; layers beyond the 95% limit, %\n", n_sets);
  fmt::print("{:<44} {:>8} {:>8} {:>9} {:>14} {:>14}\n", "", "load CV", "uniform", "clusters",
             "of uniform", "of clusters");
  for (const int n_prompts : {8, 24, 80, 300}) {
    for (const bool unequal : {false, true}) {
      for (const double autocorrelation : {0.0, 0.8}) {
        ExpertWorldOptions options{.popularity = 0, .autocorrelation = autocorrelation};
        options.n_prompts = unequal ? std::vector<int>(4, n_prompts / 4) : std::vector{n_prompts};
        options.n_tokens = unequal ? std::vector{15, 30, 60, 120} : std::vector{40};
        std::vector<LoadOutcome> outcomes(static_cast<std::size_t>(n_sets));
        stats::parallel_for(n_sets, available_threads(), [&](int i) {
          outcomes[static_cast<std::size_t>(i)] = outcome_of(options, seed, i);
        });
        print_row(fmt::format("{} prompts of {} tokens, autocorrelation {}", n_prompts,
                              unequal ? "15 to 120" : "40", autocorrelation),
                  outcomes, options.n_layers);
      }
    }
  }
}
