// How often the intervals of accuracies cover and verdicts err, on made-up data whose truth is
// known. docs/statistics.md has the tables.
#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>

#include "calibration_cases.h"
#include "moexray/core/system.h"
#include "parallel.h"

namespace {

using namespace moexray::bench;
using moexray::available_threads;
using moexray::stats::parallel_for;

// A share with its binomial standard error, in percent.
std::string percent(int n, int all) {
  const double p = static_cast<double>(n) / all;
  return fmt::format("{:.1f} ± {:.1f}", 100 * p, 100 * std::sqrt(p * (1 - p) / all));
}

// How often intervals hold the accuracy that the model of all 80 prompts has on 2,000 further ones.
void accuracy_coverage(const PromptWorldOptions& options, int n_sets, std::uint64_t seed,
                       int n_repetitions) {
  std::vector<AccuracyOutcome> outcomes(static_cast<std::size_t>(n_sets));
  parallel_for(n_sets, available_threads(), [&](int i) {
    outcomes[static_cast<std::size_t>(i)] = accuracy_outcome(options, seed, i, n_repetitions);
  });
  double truth = 0;
  double width = 0;
  double wilson_width = 0;
  int n_defined = 0;
  int n_nested = 0;
  int n_wilson = 0;
  for (const AccuracyOutcome& o : outcomes) {
    truth += o.truth / n_sets;
    n_wilson += covers(o.wilson, o.truth);
    wilson_width += (o.wilson[1] - o.wilson[0]) / n_sets;
    if (std::isnan(o.nested[0])) continue;
    ++n_defined;
    n_nested += covers(o.nested, o.truth);
    width += o.nested[1] - o.nested[0];
  }
  fmt::print(
      "{} × {}, effect {}: accuracy {:.3f}, {} of {} data sets have a nested interval\n"
      "  nested CV covers {} %, mean width {:.3f}\n  Wilson covers {} %, mean width {:.3f}\n",
      options.n_layers, options.n_experts, options.effect, truth, n_defined, n_sets,
      percent(n_nested, n_defined), width / n_defined, percent(n_wilson, n_sets), wilson_width);
}

struct World {
  const char* name;
  SimulatedRoutingOptions options;
};

// The verdict of the rule on all data sets, of the others on a quarter of them.
void verdict_errors(int n_sets, std::uint64_t seed, double context_effect) {
  constexpr int n_permutations = 39;  // p <= 0.05 has a chance of 5% if it should
  const int n_few = (n_sets + 3) / 4;
  fmt::print(
      "{} data sets of 80 prompts in 4 categories ({} without the rule), {} permutations, "
      "context effect {}; verdict \"adds\", %\n",
      n_sets, n_few, n_permutations, context_effect);
  fmt::print("{:<32} {:>8} {:>14} {:>14} {:>14}\n", "routing and vocabulary", "coverage",
             "seen types", "all types", "own prompt");
  SimulatedRoutingOptions related{.n_types = 2000, .family_share = 2, .family_routing = 1.5};
  SimulatedRoutingOptions closely = related;
  closely.type_share_effect = 0.5;
  closely.family_share = 3;
  SimulatedRoutingOptions large = closely;
  large.n_layers = 4;
  large.n_experts = 16;
  large.n_types = 4000;
  const std::array worlds = {
      World{"2 × 8, 2,000, more typical", closely}, World{"2 × 8, 2,000 types, families", related},
      World{"2 × 8, 150 unrelated types", {}}, World{"4 × 16, 4,000, more typical", large}};
  for (World world : worlds) {
    world.options.context_effect = context_effect;
    std::vector<VerdictOutcome> outcomes(static_cast<std::size_t>(n_sets));
    parallel_for(n_sets, available_threads(), [&](int i) {
      outcomes[static_cast<std::size_t>(i)] =
          verdict_outcome(world.options, seed, i, n_permutations, i < n_few);
    });
    std::array<int, 3> n_adds{};
    double coverage = 0;
    for (const VerdictOutcome& o : outcomes) {
      for (std::size_t rule = 0; rule < n_adds.size(); ++rule) n_adds[rule] += o.p[rule] <= 0.05;
      coverage += o.coverage / n_sets;
    }
    fmt::print("{:<32} {:>8.2f} {:>14} {:>14} {:>14}\n", world.name, coverage,
               percent(n_adds[0], n_sets), percent(n_adds[1], n_few), percent(n_adds[2], n_few));
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const auto number = [&](int i, double otherwise) {
    return argc > i ? std::atof(argv[i]) : otherwise;
  };
  const int n_sets = static_cast<int>(number(2, 0));
  const auto seed = static_cast<std::uint64_t>(number(3, 1));
  if (n_sets < 1 || argc > 8 || (what != "accuracy" && what != "verdict")) {
    fmt::print(stderr,
               "usage: inference_calibration accuracy DATA_SETS [SEED [EFFECT [LAYERS EXPERTS "
               "[REPETITIONS]]]]\n"
               "       inference_calibration verdict DATA_SETS [SEED [CONTEXT_EFFECT]]\n");
    return 2;
  }
  if (what == "accuracy") {
    accuracy_coverage({.effect = number(4, 0.4),
                       .n_layers = static_cast<int>(number(5, 4)),
                       .n_experts = static_cast<int>(number(6, 16))},
                      n_sets, seed, static_cast<int>(number(7, 50)));
  } else {
    verdict_errors(n_sets, seed, number(4, 0));
  }
}
