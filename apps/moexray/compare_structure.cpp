#include "compare_structure.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/stats/similarity.h"
#include "shadow_tokens.h"
#include "work_progress.h"

namespace moexray::app {
namespace {

using report::fixed;

stats::PairedPrompts pair_of(const Side& first, const stats::RoutedTokens& first_tokens,
                             const Side& other, std::uint64_t seed) {
  return stats::paired_prompts(first.signatures, first_tokens, other.signatures, other.tokens,
                               first.groups, {.seed = seed});
}

// r between the first side's similarities and those of each random router that watched it, over
// the same tokens.
std::optional<RandomRouterLevel> random_router_level(const AnalysisInput& input, const Side& first,
                                                     const Side& other,
                                                     const stats::PairedPrompts& pair) {
  if (!pair.has_tokens() || !has_shadows(first.traces)) return std::nullopt;
  const ShadowReader reader(first.traces);
  RandomRouterLevel level;
  std::vector<std::size_t> watched;
  for (const char* form : {"load matched", "as it is"}) {
    for (std::size_t i = 0; i < reader.shadows().size(); ++i) {
      const ManifestShadow& shadow = reader.shadows()[i];
      if (shadow.router.starts_with("random:") && shadow.form == form) watched.push_back(i);
    }
    level.form = form;
    if (!watched.empty()) break;
  }
  if (watched.empty()) return std::nullopt;
  const stats::Matrix own = unit_blocks(pair.first);
  std::vector<double> values;
  for (const std::size_t i : watched) {
    const stats::PairedPrompts with_shadow =
        pair_of(first, routed_by(first, reader, i), other, input.settings.seed);
    values.push_back(stats::rsa_correlation(own, unit_blocks(with_shadow.first), pair.units));
  }
  level.n_routers = static_cast<int>(values.size());
  const auto [mean, sd] = stats::mean_and_sd(values);
  level.mean = mean;
  level.sd = sd;
  return level;
}

void match(const AnalysisInput& input, ComparedStructure& result) {
  WorkProgress progress(input, "matching experts", stats::MatchingOptions{}.n_permutations,
                        "draws");
  stats::MatchingOptions options;
  options.seed = input.settings.seed;
  options.n_threads = input.settings.n_threads;
  options.work = progress.work();
  result.matching = match_experts(result.pair, options);
  if (!result.matching.reason.empty()) {
    result.notices.push_back("experts are not matched: " + result.matching.reason);
  } else if (!result.matching.not_tested.empty()) {
    result.notices.push_back("no test of matched experts: " + result.matching.not_tested);
  }
}

void separate(const AnalysisInput& input, const Arguments& arguments, ComparedStructure& result) {
  result.no_structure = obstacle_to_categories(result.tested);
  if (!result.no_structure.empty()) {
    result.notices.push_back("the separation of categories is not compared: " +
                             result.no_structure);
    return;
  }
  stats::PairedStructureOptions options;
  options.seed = input.settings.seed;
  options.n_threads = input.settings.n_threads;
  options.exchange_rows = result.pair.same_shape() && result.matching.same_experts();
  if (arguments.has("folds")) options.n_folds = static_cast<int>(arguments.integer("folds"));
  WorkProgress progress(input, "categories", paired_structure_steps(result.tested.prompts, options),
                        "repetitions");
  options.work = progress.work();
  result.structure = paired_structure(result.tested.prompts, options);
  for (const std::string& notice : result.structure->notices) result.notices.push_back(notice);
  if (options.exchange_rows) return;
  std::string why = "the experts of both are not the same";
  if (!result.pair.same_shape()) {
    why = "the models have other layers or experts";
  } else if (!result.matching.reason.empty()) {
    why = "whether experts of equal numbers are the same is not known, since " +
          result.matching.reason;
  } else if (!std::isnan(result.matching.identity)) {
    why += fmt::format(" ({}% are best matched by their own number)",
                       fixed(100 * result.matching.identity, 0));
  }
  result.notices.push_back(
      "no p-values of differences between categories' separation, and the "
      "classifier crosses by similarities: " +
      why);
}

void compare_geometry(const AnalysisInput& input, const Side& first, const Side& other,
                      ComparedStructure& result) {
  stats::RsaOptions options;
  options.seed = input.settings.seed;
  options.n_threads = input.settings.n_threads;
  options.work = {input.stop, {}};
  result.rsa = rsa(result.pair, result.tested, options);
  stats::CkaOptions layers;
  layers.seed = options.seed;
  layers.n_threads = options.n_threads;
  layers.work = options.work;
  result.cka = cka(result.pair, result.tested, result.rsa.block, layers);
  result.random_router = random_router_level(input, first, other, result.pair);
  const stats::RsaResult& rsa = result.rsa;
  if (!rsa.cross_half.has_interval() && std::isnan(rsa.cross_half.estimate)) {
    result.notices.push_back("geometry is not told from shared tokens: " + rsa.cross_half.reason);
  } else if (std::isnan(rsa.corrected.estimate)) {
    result.notices.push_back("geometry is not corrected for the number of tokens: " +
                             rsa.corrected.reason);
  }
  if (!rsa.not_tested.empty()) {
    result.notices.push_back("geometry is not tested: " + rsa.not_tested);
  } else if (!rsa.not_tested_within.empty()) {
    result.notices.push_back("geometry is not tested within categories: " + rsa.not_tested_within);
  }
}

}  // namespace

ComparedStructure compare_structure(const AnalysisInput& input, const Arguments& arguments,
                                    const Side& first, const Side& other) {
  ComparedStructure result;
  result.pair = pair_of(first, first.tokens, other, input.settings.seed);
  if (result.pair.size() < result.pair.n_shared) {
    result.notices.push_back(
        fmt::format("categories, geometry and experts are compared over {} of {} prompts, drawn by "
                    "the seed",
                    result.pair.size(), result.pair.n_shared));
  }
  result.tested = tested_pair(result.pair, input.settings.selection.tokens,
                              {.n_tokens = input.settings.common_tokens});
  match(input, result);
  separate(input, arguments, result);
  compare_geometry(input, first, other, result);
  return result;
}

}  // namespace moexray::app
