#include "verdict.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "analyses.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"

namespace moexray::app {
namespace {

constexpr double level = 0.05;

bool is_found(double p_value) { return p_value <= level; }

std::string reason_of(const VerdictFacts& facts, const Analysis& analysis) {
  const auto found = facts.left_out.find(analysis.name);
  return found == facts.left_out.end() ? "it was not run" : found->second;
}

// Why categories cannot be compared at all; empty: they can.
std::string nothing_to_compare(const VerdictFacts& facts) {
  if (facts.n_without_category == facts.n_prompts) return "the prompts have no categories";
  if (facts.n_without_category > 0) {
    return fmt::format("{} of {} prompts have no category", facts.n_without_category,
                       facts.n_prompts);
  }
  if (facts.categories.size() == 1) {
    return fmt::format("all prompts are of one category, \"{}\"",
                       printable(facts.categories[0], 80));
  }
  return {};
}

void take_similarities(const Results& results, DifferenceVerdict& verdict) {
  if (results.similarity != nullptr) {
    verdict.within = results.similarity->within.mean;
    verdict.across = results.similarity->across.mean;
    verdict.gap = results.similarity->gap;
    verdict.uniform_within = results.similarity->uniform.within;
    verdict.uniform_across = results.similarity->uniform.across;
  }
  if (results.inference == nullptr) return;
  const stats::InferenceResult& inference = *results.inference;
  if (inference.bootstrap.gap.has_interval()) {
    verdict.ci95 = {inference.bootstrap.gap.low, inference.bootstrap.gap.high};
  }
  verdict.popular_within = inference.popularity.simulated.within;
  verdict.popular_across = inference.popularity.simulated.across;
  const auto& means = inference.lengths.mean_tokens;
  verdict.lengths_differ = is_found(inference.lengths.f.p_value);
  if (!means.empty()) {
    verdict.mean_tokens = {*std::min_element(means.begin(), means.end()),
                           *std::max_element(means.begin(), means.end())};
  }
}

// The p-value of the gap: from `stats`, whose units are groups if there are some; where it was left
// out (too many prompts), from the shuffled labels of `baselines`, which know no groups.
void take_test(const VerdictFacts& facts, const Results& results, DifferenceVerdict& verdict) {
  double smallest = 0;
  if (results.inference != nullptr) {
    const stats::InferenceResult& inference = *results.inference;
    if (!inference.check.comparable() && !std::isnan(verdict.gap)) {
      verdict.finding = Finding::cannot_tell;
      verdict.reason = inference.check.reason;
      return;
    }
    verdict.positions = inference.positions.text();
    if (inference.positions.n_short > 0) {
      const std::size_t n_compared = inference.positions.rows.size();
      verdict.positions +=
          fmt::format(" of {} of {} prompts", n_compared, n_compared + inference.positions.n_short);
    }
    verdict.p_value = results.inference->location.gap.p_value;
    verdict.n_permutations = results.inference->location.gap.n_draws;
    smallest = results.inference->smallest_p_value;
  } else if (results.baselines != nullptr && !facts.grouped) {
    verdict.p_value = results.baselines->label_shuffle.p_value;
    verdict.n_permutations = results.baselines->label_shuffle.n_draws;
  } else {
    verdict.reason = reason_of(facts, stats_analysis());
    return;
  }
  if (std::isnan(verdict.gap)) {
    verdict.finding = Finding::cannot_tell;
    verdict.reason = "no two prompts are of one category";
  } else if (std::isnan(verdict.p_value) || smallest > level) {
    verdict.finding = Finding::cannot_tell;
    verdict.reason =
        smallest > 0.999 ? "relabelling the prompts changes nothing"
        : smallest > 0
            ? fmt::format("so few prompts that no p-value can fall below {:.2g}", smallest)
            : "prompts have too little in common for a test of labels";
  } else if (!is_found(verdict.p_value)) {
    verdict.finding = Finding::not_found;
  } else {
    verdict.finding = Finding::found;
  }
}

DifferenceVerdict judge_difference(const VerdictFacts& facts, const Results& results) {
  DifferenceVerdict verdict;
  verdict.reason = nothing_to_compare(facts);
  if (!verdict.reason.empty()) return verdict;
  take_similarities(results, verdict);
  take_test(facts, results, verdict);
  return verdict;
}

WordsVerdict judge_words(const VerdictFacts& facts, const Results& results, bool differs) {
  WordsVerdict verdict;
  if (results.confounds == nullptr) {
    verdict.reason = reason_of(facts, confounds_analysis());
    return verdict;
  }
  const stats::ConfoundsVerdict& own = results.confounds->ladder.verdict;
  verdict.accuracy = own.accuracy;
  verdict.chance = own.chance;
  verdict.p_value = own.p_value;
  verdict.smallest_detectable = own.smallest_detectable;
  verdict.n_permutations = own.n_permutations;
  verdict.reason = own.reason;
  verdict.positions = results.confounds->ladder.positions;
  if (const stats::LadderRung* rung = results.confounds->ladder.decisive()) {
    verdict.held_fixed = rung->held_fixed;
    verdict.coverage = rung->coverage;
  }
  switch (own.outcome) {
    case stats::Outcome::adds:
      verdict.finding = differs ? Finding::found : Finding::not_claimed;
      break;
    case stats::Outcome::no_evidence:
      verdict.finding = Finding::not_found;
      break;
    case stats::Outcome::cannot_tell:
      verdict.finding = Finding::cannot_tell;
      break;
  }
  return verdict;
}

ClassifierVerdict judge_classifier(const VerdictFacts& facts, const Results& results) {
  ClassifierVerdict verdict;
  if (results.classify == nullptr) {
    verdict.reason = reason_of(facts, classify_analysis());
    return verdict;
  }
  const stats::ClassifyResult& own = *results.classify;
  verdict.accuracy = own.accuracy.mean;
  verdict.chance = own.chance;
  verdict.nested = !std::isnan(own.accuracy.ci95[0]);
  verdict.ci95 = verdict.nested ? own.accuracy.ci95 : own.accuracy.wilson95;
  verdict.calibrated = verdict.nested && verdict.accuracy <= stats::highest_calibrated_accuracy;
  verdict.finding = Finding::cannot_tell;
  verdict.reason = "it was not run";
  if (results.accuracy_test == nullptr) return verdict;
  verdict.test = *results.accuracy_test;
  verdict.reason = verdict.test.left_out;
  if (!verdict.reason.empty()) return verdict;
  verdict.finding = is_found(verdict.test.p_value) ? Finding::found : Finding::not_found;
  if (results.inference != nullptr) verdict.positions = results.inference->positions.text();
  return verdict;
}

LayersVerdict judge_layers(const VerdictFacts& facts, const Results& results, bool differs) {
  LayersVerdict verdict;
  if (results.inference == nullptr || results.inference->layers.empty()) {
    verdict.reason = reason_of(facts, stats_analysis());
    return verdict;
  }
  const std::vector<stats::LayerTest>& layers = results.inference->layers;
  verdict.n_layers = static_cast<int>(layers.size());
  verdict.n_permutations = results.inference->n_layer_draws;
  verdict.positions = results.inference->positions.text();
  verdict.finding = Finding::cannot_tell;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const stats::LayerTest& layer = layers[i];
    if (std::isnan(layer.p_adjusted)) continue;
    if (verdict.finding == Finding::cannot_tell) verdict.finding = Finding::not_found;
    // A negative d: pairs within are less alike than pairs across, which separates nothing.
    const bool found = is_found(layer.p_adjusted) && layer.cohens_d > 0;
    verdict.n_found += found ? 1 : 0;
    if (found && (verdict.layer < 0 || layer.cohens_d > verdict.cohens_d)) {
      verdict.layer = static_cast<int>(i);
      verdict.cohens_d = layer.cohens_d;
      verdict.p_adjusted = layer.p_adjusted;
    }
    if (verdict.n_found == 0 && !(verdict.p_adjusted <= layer.p_adjusted)) {
      verdict.p_adjusted = layer.p_adjusted;
    }
  }
  if (verdict.finding == Finding::cannot_tell) verdict.reason = "no layer has a p-value";
  if (verdict.n_found > 0) verdict.finding = differs ? Finding::found : Finding::not_claimed;
  return verdict;
}

ExpertsVerdict judge_experts(const VerdictFacts& facts, const Results& results) {
  ExpertsVerdict verdict;
  if (results.expert_categories == nullptr) {
    verdict.reason = reason_of(facts, experts_analysis());
    return verdict;
  }
  const stats::ExpertCategoriesResult& own = *results.expert_categories;
  verdict.n_cells = own.cells.size();
  verdict.n_found = own.n_significant;
  verdict.n_permutations = own.n_permutations;
  verdict.p_adjusted = own.smallest_p_adjusted;
  if (!own.tested()) {
    verdict.finding = Finding::cannot_tell;
    verdict.reason = own.check.reason;
    return verdict;
  }
  verdict.positions = own.positions.text();
  verdict.finding = own.n_significant > 0 ? Finding::found : Finding::not_found;
  std::vector<const stats::ExpertCell*> best;
  for (const stats::CategoryExperts& category : own.significant) {
    if (!category.more.empty()) best.push_back(&own.cells[category.more.front()]);
  }
  std::stable_sort(best.begin(), best.end(),
                   [](const auto* a, const auto* b) { return a->t > b->t; });
  for (const stats::ExpertCell* cell : best) {
    verdict.named.push_back({cell->layer, cell->expert,
                             own.categories[static_cast<std::size_t>(cell->category)], cell->ratio,
                             cell->p_adjusted});
  }
  return verdict;
}

RouterVerdict judge_router(const VerdictFacts& facts, const Results& results, bool differs) {
  RouterVerdict verdict;
  if (results.random_routers == nullptr) {
    const auto left_out = facts.left_out.find(shadow_analysis().name);
    verdict.reason = left_out == facts.left_out.end() ? "trace --shadow random" : left_out->second;
    return verdict;
  }
  const stats::RandomRoutersResult& own = *results.random_routers;
  verdict.outcome = own.outcome;
  verdict.reason = own.reason;
  verdict.finding = Finding::cannot_tell;
  if (own.outcome == stats::RouterOutcome::cannot_tell) return verdict;
  const stats::RouterFamily& family = own.families[static_cast<std::size_t>(own.verdict_family)];
  verdict.n_routers = family.members.size();
  verdict.r_squared = family.r_squared;
  verdict.bits = family.bits;
  if (results.inference != nullptr) verdict.positions = results.inference->positions.text();
  verdict.finding = own.outcome == stats::RouterOutcome::no_better ? Finding::not_found
                    : differs                                      ? Finding::found
                                                                   : Finding::not_claimed;
  return verdict;
}

CrossedVerdict judge_crossed(const Results& results, bool differs) {
  CrossedVerdict verdict;
  if (results.crossed == nullptr) return verdict;
  const stats::CrossedTests& tests = results.crossed->tests;
  verdict.key = results.crossed->key;
  verdict.units = results.crossed->units;
  verdict.n_levels = tests.levels.size();
  verdict.n_units = tests.n_units;
  verdict.p_value = tests.category.test.p_value;
  verdict.n_permutations = tests.category.test.n_draws;
  verdict.r_squared = tests.category.r_squared;
  verdict.key_r_squared = tests.topic.r_squared;
  verdict.reason = tests.reason;
  if (std::isnan(verdict.p_value)) {
    verdict.finding = Finding::cannot_tell;
    if (verdict.reason.empty()) verdict.reason = "prompts have too little in common";
  } else if (!is_found(verdict.p_value)) {
    verdict.finding = Finding::not_found;
  } else {
    verdict.finding = differs ? Finding::found : Finding::not_claimed;
  }
  return verdict;
}

void list_limits(const VerdictFacts& facts, const Results& results, Verdict& verdict) {
  if (verdict.words.finding == Finding::not_tested) {
    verdict.not_tested.push_back("whether routing goes beyond the words (" + verdict.words.reason +
                                 ")");
  }
  if (verdict.classifier.finding == Finding::not_tested) {
    verdict.not_tested.push_back("a classifier (" + verdict.classifier.reason + ")");
  }
  if (verdict.layers.finding == Finding::not_tested) {
    verdict.not_tested.push_back("single layers (" + verdict.layers.reason + ")");
  }
  if (verdict.experts.finding == Finding::not_tested) {
    verdict.not_tested.push_back("single experts (" + verdict.experts.reason + ")");
  }
  if (verdict.router.finding == Finding::not_tested) {
    verdict.not_tested.push_back("whether a random router does as well (" + verdict.router.reason +
                                 ")");
  }
  verdict.not_excluded = {"the previous token", "order", "syntax"};
  if (verdict.words.finding != Finding::found) {
    verdict.not_excluded.insert(verdict.not_excluded.begin(), "position");
  }
  if (!facts.grouped) {
    verdict.not_excluded.emplace_back("templates or sources that prompts share (--group-by)");
  }
  if (results.inference != nullptr && results.inference->near_duplicates.n_pairs > 0) {
    const std::int64_t n = results.inference->near_duplicates.n_pairs;
    verdict.not_excluded.push_back(
        fmt::format("copies ({} of prompts nearly the same)", counted(n, "pair")));
  }
}

}  // namespace

const char* name_of(Finding finding) {
  switch (finding) {
    case Finding::found:
      return "found";
    case Finding::not_found:
      return "not found";
    case Finding::cannot_tell:
      return "cannot tell";
    case Finding::not_claimed:
      return "not claimed";
    case Finding::not_tested:
      break;
  }
  return "not tested";
}

Verdict judge(const VerdictFacts& facts, const Results& results) {
  Verdict verdict;
  verdict.categories = facts.categories;
  verdict.difference = judge_difference(facts, results);
  // Nothing that compares categories has anything to compare.
  if (verdict.difference.finding == Finding::not_tested) {
    const std::string reason = verdict.difference.reason;
    verdict.words.reason = verdict.classifier.reason = reason;
    verdict.layers.reason = verdict.experts.reason = verdict.router.reason = reason;
    return verdict;
  }
  const bool differs = verdict.difference.finding == Finding::found;
  verdict.experts = judge_experts(facts, results);
  if (verdict.experts.finding == Finding::found && !differs) {
    verdict.experts.finding = Finding::not_claimed;
  }
  verdict.words = judge_words(facts, results, differs);
  verdict.classifier = judge_classifier(facts, results);
  verdict.layers = judge_layers(facts, results, differs);
  verdict.router = judge_router(facts, results, differs);
  verdict.crossed = judge_crossed(results, differs);
  list_limits(facts, results, verdict);
  return verdict;
}

}  // namespace moexray::app
