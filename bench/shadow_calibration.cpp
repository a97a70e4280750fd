// How often the comparison of a trained router with random ones finds a difference where the
// trained one is random, and where it is better. docs/statistics.md has the table.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "moexray/core/system.h"
#include "moexray/stats/compared_prompts.h"
#include "moexray/trace/reader.h"
#include "moexray/trace/shadows.h"
#include "parallel.h"
#include "read_routing.h"
#include "shadow_cases.h"

namespace {

using namespace moexray;
using namespace moexray::bench;

void print_head(const char* of) {
  fmt::print("{:<34} {:>13} {:>13} {:>13} {:>13} {:>18}\n", of, "routers alone", "the larger",
             "root of sum", "mean's error", "difference");
}

// @param n_independent cases that the binomial error counts
void print_row(const std::string& name, const std::vector<ShadowOutcome>& outcomes,
               std::size_t n_independent) {
  const auto n = static_cast<double>(outcomes.size());
  const auto percent = [&](bool ShadowOutcome::* way) {
    double found = 0;
    for (const ShadowOutcome& one : outcomes) found += one.*way ? 1 : 0;
    const double p = found / n;
    return fmt::format("{:.1f} ± {:.1f}", 100 * p,
                       100 * std::sqrt(p * (1 - p) / static_cast<double>(n_independent)));
  };
  double sum = 0, squares = 0;
  for (const ShadowOutcome& one : outcomes) {
    if (std::isnan(one.difference)) continue;  // all prompts had one signature
    sum += one.difference;
    squares += one.difference * one.difference;
  }
  fmt::print("{:<34} {:>13} {:>13} {:>13} {:>13} {:>18}\n", name,
             percent(&ShadowOutcome::routers_alone), percent(&ShadowOutcome::larger),
             percent(&ShadowOutcome::together), percent(&ShadowOutcome::mean_error),
             fmt::format("{:.4f}, sd {:.4f}", sum / n, std::sqrt(squares / n - sum / n * sum / n)));
  std::fflush(stdout);
}

void made_worlds(int n_sets, std::uint64_t seed) {
  print_head("made hidden states");
  for (const ShadowWorld& world : shadow_worlds()) {
    for (const bool is_matched : {false, true}) {
      std::vector<ShadowOutcome> outcomes(static_cast<std::size_t>(n_sets));
      stats::parallel_for(n_sets, available_threads(), [&](int i) {
        ShadowCase one(world, seed, i);
        outcomes[static_cast<std::size_t>(i)] = judged(one.contrast(is_matched), world.n_routers);
      });
      print_row(std::string(world.name) + (is_matched ? ", equal load" : ""), outcomes,
                outcomes.size());
    }
  }
}

// Every random router of a trace called trained, against 20 others of its form.
void traced_shadows(const std::filesystem::path& directory, std::uint64_t seed) {
  const std::vector<std::filesystem::path> directories = {directory};
  const TraceSet traces = open_traces(directories, {});
  const auto [signatures, tokens] = read_routing(traces);
  const auto compared = stats::compared_prompts(tokens, signatures, {}, stats::TokenSelection::all);
  const ShadowReader reader(traces);
  std::vector<stats::RouterScores> scores(reader.shadows().size());
  stats::parallel_for(static_cast<int>(scores.size()), available_threads(), [&](int i) {
    stats::RoutedTokens own = tokens;
    const auto k = static_cast<std::size_t>(traces.shape.top_k);
    const auto n_layers = static_cast<std::size_t>(traces.shape.n_layers);
    for (std::size_t row = 0; row < own.n_prompts(); ++row) {
      const ExpertSets sets =
          reader.read(signatures.prompt_indices[row], static_cast<std::size_t>(i));
      for (std::size_t t = own.first[row]; t < own.first[row + 1]; ++t) {
        for (std::size_t layer = 0; layer < n_layers; ++layer) {
          sets.read(static_cast<int>(layer), own.tokens[t].pos,
                    std::span(own.experts).subspan((t * n_layers + layer) * k, k));
        }
      }
    }
    const stats::Signatures common = stats::common_signatures(own, signatures, compared.positions);
    scores[static_cast<std::size_t>(i)] =
        stats::router_scores(compared, common, common, {.n_divisions = 0});
  });
  print_head("traced random routers");
  for (const char* form : {"plain", "load matched"}) {
    std::vector<std::size_t> members;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const ManifestShadow& shadow = reader.shadows()[i];
      if (shadow.form == form && shadow.router.starts_with("random:")) members.push_back(i);
    }
    if (members.size() < 22) continue;
    std::vector<ShadowOutcome> outcomes;
    // Each is called trained often enough to have 400 cases, against other draws of 20.
    const std::size_t n_cases = std::max<std::size_t>(400, members.size());
    for (std::size_t i = 0; i < n_cases; ++i) {
      constexpr int n_routers = 20;
      const std::size_t trained = members[i % members.size()];
      std::vector<std::size_t> others = members;
      std::erase(others, trained);
      RandomStream random(seed, "called trained " + std::to_string(i));
      std::vector<double> values;
      std::vector<stats::Vector> without;
      for (std::size_t r = 0; r < n_routers; ++r) {
        std::swap(others[r], others[r + random.below(others.size() - r)]);
        values.push_back(scores[others[r]].r_squared);
        without.push_back(scores[others[r]].r_squared_without);
      }
      const stats::RouterContrast contrast =
          stats::router_contrast(scores[trained].r_squared, scores[trained].r_squared_without,
                                 values, without, compared.units);
      outcomes.push_back(judged(contrast, n_routers));
    }
    print_row(fmt::format("{}, {} routers", form, members.size()), outcomes, members.size());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 4) {
    fmt::print(stderr,
               "usage: shadow_calibration [CASES [SEED [TRACE]]]\n"
               "TRACE: a directory traced with at least 22 random shadows\n");
    return 2;
  }
  const int n_sets = argc > 1 ? std::atoi(argv[1]) : 400;
  const auto seed = static_cast<std::uint64_t>(argc > 2 ? std::atoi(argv[2]) : 0);
  fmt::print("{} cases; a difference found, %\n", n_sets);
  if (n_sets > 0) made_worlds(n_sets, seed);
  if (argc > 3) traced_shadows(argv[3], seed);
}
