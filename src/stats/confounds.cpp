#include "moexray/stats/confounds.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "feature_sets.h"
#include "fold_models.h"
#include "moexray/core/error.h"
#include "moexray/stats/folds.h"
#include "moexray/stats/nested_cv.h"
#include "pair_means.h"
#include "permuted_accuracy.h"

namespace moexray::stats {
namespace {

std::array<double, 2> within_unit(const std::array<double, 2>& loss_interval) {
  if (std::isnan(loss_interval[0])) return loss_interval;
  return {std::max(0.0, 1 - loss_interval[1]), std::min(1.0, 1 - loss_interval[0])};
}

// Everything that the parts of the analysis share.
struct Study {
  const ConfoundsOptions& options;
  const CategoryIndex& categories;
  const Units& units;
  std::vector<int> folds;
  NestedDesign design;
};

using LossesByName = std::map<std::string, std::vector<NestedLosses>>;

FeatureAccuracy accuracy_of(const FeatureSet& set, const Study& study, LossesByName& losses) {
  FeatureAccuracy result{set.name,     set.title,   undefined, {undefined, undefined},
                         set.coverage, set.left_out};
  if (!set.left_out.empty()) return result;
  const PipelineOptions options = confounds_pipeline();
  if (study.options.n_repetitions == 0) {
    const FeatureMaker maker = set.features(0);
    FoldModels models(maker, study.categories.of_prompt,
                      static_cast<int>(study.categories.names.size()), study.folds,
                      study.options.n_folds, options);
    result.mean = share_correct(held_out_classes(models, study.folds.size(), study.options.n_folds),
                                study.categories.of_prompt);
    return result;
  }
  constexpr std::array loss_functions = {&error_loss};
  losses[set.name] =
      nested_repetitions(study.design, set.features, options, loss_functions).front();
  const NestedInterval interval =
      nested_interval(losses[set.name], study.units, study.options.n_folds);
  result.mean = 1 - interval.cv_mean;
  result.ci95 = within_unit(interval.ci95);
  return result;
}

// The accuracy of `first` minus that of `second`.
void add_difference(const std::string& first, const std::string& second, const LossesByName& losses,
                    const Study& study, ConfoundsResult& result) {
  const auto a = losses.find(first);
  const auto b = losses.find(second);
  if (a == losses.end() || b == losses.end()) return;
  const NestedInterval interval =
      nested_interval(loss_differences(b->second, a->second), study.units, study.options.n_folds);
  result.differences.push_back({first + " − " + second, interval.cv_mean, interval.ci95});
}

void add_notices(const Study& study, ConfoundsResult& result) {
  for (const FeatureAccuracy& feature : result.features) {
    if (feature.left_out.empty()) continue;
    result.notices.push_back(feature.title + " left out: " + feature.left_out);
  }
  if (study.units.grouped && study.units.nested()) {
    result.notices.emplace_back(
        "every group lies in one category: what groups have in common cannot be told from what "
        "categories have; permutations exchange whole groups");
  }
}

}  // namespace

ConfoundsResult confounds(const Signatures& signatures, const RoutedTokens& tokens,
                          const ComparedPrompts& compared, const ConfoundsOptions& options) {
  const CategoryIndex categories = index_categories(signatures);
  if (categories.names.size() < 2) {
    throw Error(ErrorKind::data, nothing_to_compare(categories));
  }
  if (!allows_nesting(options.n_folds, confounds_pipeline())) {
    throw Error(ErrorKind::usage,
                {"number of folds", {}, "4 to 64", std::to_string(options.n_folds)});
  }
  const Units units = make_units(signatures.ids, categories, options.groups);
  ConfoundsResult result;
  result.n_prompts = static_cast<std::int64_t>(signatures.size());
  result.n_units = static_cast<std::int64_t>(units.size());
  Study study{options, categories, units, {}, {signatures.ids, categories, units}};
  try {
    study.folds = grouped_folds(signatures.ids, categories, units, options.n_folds, options.seed);
  } catch (const Error& error) {
    result.ladder.verdict.reason = error.what();
    result.notices.push_back(result.ladder.verdict.reason + "; confounds classified nothing");
    return result;
  }
  study.design.n_folds = options.n_folds;
  study.design.n_repetitions = options.n_repetitions;
  study.design.seed = options.seed;
  study.design.n_threads = options.n_threads;
  study.design.work = options.work;
  const auto types = tokens.has_ids()
                         ? std::make_shared<const TypeRouting>(tokens, options.min_type_count)
                         : nullptr;
  LossesByName losses;
  for (const FeatureSet& set : feature_sets(signatures, tokens, types, study.folds, options)) {
    result.features.push_back(accuracy_of(set, study, losses));
  }
  result.ladder = ladder(tokens, compared, options);
  add_difference("signature", "token_unigrams", losses, study, result);
  add_difference("signature_and_unigrams", "token_unigrams", losses, study, result);
  add_difference("prompt_only", "shuffled_prompt", losses, study, result);
  add_notices(study, result);
  return result;
}

std::optional<ConfoundsOptions> affordable(const ConfoundsOptions& options,
                                           const Signatures& signatures) {
  constexpr double budget = 3e10;
  constexpr double n_sets = 11;
  constexpr int fewest_permutations = 99;
  constexpr int fewest_repetitions = 5;
  const double repetition = n_sets * repetition_operations(signatures, options.n_folds);
  const double permutation = labelling_operations(signatures, options.n_folds);
  // Without repetitions a single division is fitted, which has no inner models.
  const double least = repetition / 3 + fewest_permutations * permutation;
  if (least > 2 * budget) return std::nullopt;
  ConfoundsOptions result = options;
  const auto scaled = [&](int asked, double operations) {
    return static_cast<int>(std::min<double>(asked, budget / operations));
  };
  result.n_permutations =
      std::min(options.n_permutations,
               std::max(scaled(options.n_permutations, permutation), fewest_permutations));
  result.n_repetitions = scaled(options.n_repetitions, repetition);
  if (result.n_repetitions < fewest_repetitions) result.n_repetitions = 0;
  return result;
}

std::int64_t confounds_steps(const ConfoundsOptions& options) {
  constexpr std::int64_t n_sets = 11;
  const std::int64_t n_own = n_sets + (options.shuffled.size() > 0 ? 1 : 0);
  return n_own * options.n_repetitions + ladder_steps(options);
}

}  // namespace moexray::stats
