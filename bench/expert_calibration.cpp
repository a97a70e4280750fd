// How often the tests of labels (experts and categories; gap, PERMANOVA, PERMDISP, layers, label
// shuffle, information) find something where there is nothing, on made-up data and on halves of one
// category of a trace, how often they find what is there, and how often the intervals of rates
// cover. docs/statistics.md has the tables.
#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <set>
#include <span>

#include "expert_cases.h"
#include "label_cases.h"
#include "moexray/core/error.h"
#include "moexray/core/system.h"
#include "moexray/trace/reader.h"
#include "parallel.h"
#include "read_routing.h"

namespace {

using namespace moexray;
using namespace moexray::bench;
using stats::parallel_for;

constexpr std::int64_t n_permutations = 199;

// A share with its binomial standard error, in percent.
std::string percent(double n, double all) {
  const double p = n / all;
  return fmt::format("{:.1f} ± {:.1f}", 100 * p, 100 * std::sqrt(p * (1 - p) / all));
}

void print_row(const std::string& name, const std::vector<ExpertOutcome>& outcomes) {
  const auto n = static_cast<double>(outcomes.size());
  double n_refused = 0;
  double n_claims = 0;
  double n_lists = 0;
  double n_cells = 0;
  for (const ExpertOutcome& o : outcomes) {
    n_refused += o.tested ? 0 : 1;
    n_claims += o.n_significant > 0 ? 1 : 0;
    n_lists += o.n_listed > 0 ? 1 : 0;
    n_cells += static_cast<double>(o.n_significant) / n;
  }
  fmt::print("{:<40} {:>8} {:>14} {:>14} {:>12.2f}\n", name, n_refused, percent(n_claims, n),
             percent(n_lists, n), n_cells);
  std::fflush(stdout);
}

void print_head(int n_sets) {
  fmt::print("{} data sets, {} permutations; data sets with a finding, %\n", n_sets,
             n_permutations);
  fmt::print("{:<40} {:>8} {:>14} {:>14} {:>12}\n", "", "refused", "max-T", "BH", "cells");
}

void level_and_power(int n_sets, std::uint64_t seed) {
  print_head(n_sets);
  std::vector<NamedExpertWorld> worlds = null_expert_worlds();
  for (const double effect : {0.3, 0.45}) {
    for (const NamedExpertWorld& null : null_expert_worlds()) {
      worlds.push_back(null);
      worlds.back().options.effect = effect;
    }
  }
  for (const NamedExpertWorld& world : worlds) {
    std::vector<ExpertOutcome> outcomes(static_cast<std::size_t>(n_sets));
    parallel_for(n_sets, available_threads(), [&](int i) {
      outcomes[static_cast<std::size_t>(i)] =
          expert_outcome(world.options, seed, i, n_permutations);
    });
    print_row(fmt::format("{}, effect {}", world.name, world.options.effect), outcomes);
  }
}

void print_label_head(int n_sets) {
  fmt::print("{} data sets, {} permutations; data sets with p at most 0.05, %\n", n_sets,
             n_permutations);
  fmt::print("{:<50} {:>7}", "", "refused");
  for (const char* name : label_test_names) fmt::print(" {:>11}", name);
  fmt::print("\n");
}

void print_label_row(const std::string& name, const std::vector<LabelOutcome>& outcomes) {
  const auto n = static_cast<double>(outcomes.size());
  fmt::print("{:<50} {:>7}", name, std::ranges::count(outcomes, false, &LabelOutcome::tested));
  for (std::size_t test = 0; test < n_label_tests; ++test) {
    const auto n_found =
        std::ranges::count_if(outcomes, [&](const LabelOutcome& o) { return o.found[test]; });
    fmt::print(" {:>11}", percent(static_cast<double>(n_found), n));
  }
  fmt::print("\n");
  std::fflush(stdout);
}

void labels(int n_sets, std::uint64_t seed) {
  print_label_head(n_sets);
  for (const double effect : {0.0, 0.15, 0.3}) {
    for (NamedExpertWorld world : null_expert_worlds()) {
      world.options.effect = effect;
      std::vector<LabelOutcome> outcomes(static_cast<std::size_t>(n_sets));
      parallel_for(n_sets, available_threads(), [&](int i) {
        const std::uint64_t own = RandomStream(seed, "data set " + std::to_string(i))();
        const ExpertWorld drawn = expert_world(world.options, own);
        outcomes[static_cast<std::size_t>(i)] =
            label_outcome(drawn.signatures, drawn.tokens, n_permutations, own, true);
      });
      print_label_row(fmt::format("{}, effect {}", world.name, effect), outcomes);
    }
  }
}

ExpertWorld read_trace(const std::filesystem::path& directory) {
  TraceRouting routing = read_routing(open_traces(std::span(&directory, 1), {}));
  return {std::move(routing.signatures), std::move(routing.tokens)};
}

// The prompts of one category as two categories, at random; the second keeps n_kept tokens beside
// the template's.
ExpertWorld halves(const ExpertWorld& trace, const std::string& category, std::size_t n_kept,
                   RandomStream random) {
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < trace.signatures.size(); ++i) {
    if (trace.signatures.categories[i] == category) rows.push_back(i);
  }
  for (std::size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[random.below(i)]);
  ExpertWorld result;
  result.signatures.shape = trace.signatures.shape;
  result.tokens.shape = trace.tokens.shape;
  result.tokens.first.push_back(0);
  const auto width = static_cast<std::size_t>(trace.tokens.shape.n_layers) *
                     static_cast<std::size_t>(trace.tokens.shape.top_k);
  for (std::size_t j = 0; j < rows.size(); ++j) {
    const bool second = 2 * j >= rows.size();
    result.signatures.ids.push_back(trace.signatures.ids[rows[j]]);
    result.signatures.categories.emplace_back(second ? "second" : "first");
    std::size_t n = 0;
    for (std::size_t t = trace.tokens.first[rows[j]]; t < trace.tokens.first[rows[j] + 1]; ++t) {
      if (second && n >= n_kept) break;
      n += trace.tokens.tokens[t].is_template ? 0 : 1;
      result.tokens.tokens.push_back(trace.tokens.tokens[t]);
      const auto begin = trace.tokens.experts.begin() + static_cast<std::ptrdiff_t>(t * width);
      result.tokens.experts.insert(result.tokens.experts.end(), begin,
                                   begin + static_cast<std::ptrdiff_t>(width));
    }
    result.tokens.first.push_back(result.tokens.tokens.size());
  }
  return result;
}

// Calls each(half, seed) for data sets of halves of every category, whole and with one half cut
// short, and print(name, outcomes) for those of a category.
template <typename Outcome, typename Each, typename Print>
void for_halves(const ExpertWorld& trace, int n_sets, std::uint64_t seed, Each each, Print print) {
  const std::set<std::string> categories(trace.signatures.categories.begin(),
                                         trace.signatures.categories.end());
  for (const std::size_t n_kept : {std::size_t{1} << 30, std::size_t{20}}) {
    for (const std::string& category : categories) {
      std::vector<Outcome> outcomes(static_cast<std::size_t>(n_sets));
      parallel_for(n_sets, available_threads(), [&](int i) {
        RandomStream random(seed, category + std::to_string(i));
        const ExpertWorld half = halves(trace, category, n_kept, random);
        outcomes[static_cast<std::size_t>(i)] = each(half, random());
      });
      print(fmt::format("halves of {}{}", category, n_kept == 20 ? ", one cut to 20 tokens" : ""),
            outcomes);
    }
  }
}

void halves_of_trace(const char* directory, int n_sets, std::uint64_t seed) {
  const ExpertWorld trace = read_trace(directory);
  print_head(n_sets);
  for_halves<ExpertOutcome>(
      trace, n_sets, seed,
      [](const ExpertWorld& half, std::uint64_t own) {
        return outcome_of(half.signatures, half.tokens, n_permutations, own);
      },
      print_row);
}

// The signatures of tokens: those of halves() are not kept.
stats::Signatures signatures_of(const ExpertWorld& half) {
  std::vector<stats::PromptLabel> prompts;
  for (std::size_t i = 0; i < half.signatures.ids.size(); ++i) {
    prompts.push_back({half.signatures.ids[i], half.signatures.categories[i]});
  }
  stats::SignatureAccumulator signatures(half.tokens.shape, prompts, {});
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    for (std::size_t t = half.tokens.first[i]; t < half.tokens.first[i + 1]; ++t) {
      for (int layer = 0; layer < half.tokens.shape.n_layers; ++layer) {
        const auto chosen = half.tokens.at(t, layer);
        const std::vector<ExpertId> experts(chosen.begin(), chosen.end());
        RoutingRecord record;
        record.layer = layer;
        record.pos = half.tokens.tokens[t].pos;
        record.experts = experts;
        signatures.add(i, record);
      }
    }
  }
  return std::move(signatures).finish();
}

void label_halves(const char* directory, int n_sets, std::uint64_t seed) {
  const ExpertWorld trace = read_trace(directory);
  print_label_head(n_sets);
  for_halves<LabelOutcome>(
      trace, n_sets, seed,
      [](const ExpertWorld& half, std::uint64_t own) {
        return label_outcome(signatures_of(half), half.tokens, n_permutations, own, false);
      },
      print_label_row);
}

// How often intervals hold the rate of 1,000 further prompts, by the size of the rate.
void coverage(int n_sets, std::uint64_t seed) {
  constexpr int n_worlds = 20;
  fmt::print("{} data sets of 20 prompts in each of {} worlds; intervals that cover, %\n", n_sets,
             n_worlds);
  fmt::print("{:<40} {:>14} {:>14} {:>14}\n", "", "rate < 0.03", "0.03 to 0.2", "above");
  for (const double autocorrelation : {0.0, 0.8}) {
    std::array<double, 3> n_covered{};
    std::array<double, 3> n_all{};
    for (int w = 0; w < n_worlds; ++w) {
      const auto world = static_cast<std::uint64_t>(w) + 1000 * seed;
      ExpertWorldOptions options{.n_prompts = {1000}, .n_tokens = {40}};
      options.autocorrelation = autocorrelation;
      const auto rates = [&](int n_prompts, std::uint64_t own) {
        options.n_prompts = {n_prompts};
        const ExpertWorld drawn = expert_world(options, world, own);
        return stats::expert_categories(drawn.signatures, drawn.tokens, {}, {});
      };
      const auto truth = rates(1000, 0);
      for (int i = 1; i <= n_sets; ++i) {
        const auto result = rates(20, static_cast<std::uint64_t>(i));
        for (std::size_t j = 0; j < result.cells.size(); ++j) {
          const double rate = truth.cells[j].rate;
          const std::size_t size = rate < 0.03 ? 0 : rate < 0.2 ? 1 : 2;
          const auto [low, high] = result.cells[j].ci95;
          n_all[size] += 1;
          n_covered[size] += low <= rate && rate <= high ? 1 : 0;
        }
      }
    }
    fmt::print("{:<40} {:>14} {:>14} {:>14}\n", fmt::format("autocorrelation {}", autocorrelation),
               percent(n_covered[0], n_all[0]), percent(n_covered[1], n_all[1]),
               percent(n_covered[2], n_all[2]));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const int first = what == "halves" || what == "label-halves" ? 3 : 2;
  const int n_sets = argc > first ? std::atoi(argv[first]) : 0;
  const auto seed = static_cast<std::uint64_t>(argc > first + 1 ? std::atoi(argv[first + 1]) : 1);
  if (n_sets < 1 || argc > first + 2 ||
      (what != "level" && what != "halves" && what != "coverage" && what != "labels" &&
       what != "label-halves")) {
    fmt::print(stderr,
               "usage: expert_calibration level DATA_SETS [SEED]\n"
               "       expert_calibration halves TRACE DATA_SETS [SEED]\n"
               "       expert_calibration labels DATA_SETS [SEED]\n"
               "       expert_calibration label-halves TRACE DATA_SETS [SEED]\n"
               "       expert_calibration coverage DATA_SETS [SEED]\n");
    return 2;
  }
  try {
    if (what == "level") level_and_power(n_sets, seed);
    if (what == "halves") halves_of_trace(argv[2], n_sets, seed);
    if (what == "labels") labels(n_sets, seed);
    if (what == "label-halves") label_halves(argv[2], n_sets, seed);
    if (what == "coverage") coverage(n_sets, seed);
  } catch (const Error& error) {
    fmt::print(stderr, "expert_calibration: {}\n", error.what());
    return 1;
  }
}
